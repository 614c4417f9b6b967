"""Every suite is a whole table: rows, scales and claims of valid configs."""

import ast
import functools
import importlib.util
import pathlib

import pytest

from seq2seq_jax import config, metrics
from seq2seq_jax.ablation import published, scales
from seq2seq_jax.ablation import suite as suite_lib
from seq2seq_jax.config import overrides
from seq2seq_jax.training import optim
from tests import test_configs

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
FILES = sorted((CONFIGS / "ablations").glob("*.py"))
PAPERS = {
  "attention_vs_fixed": "bahdanau2015.py",
  "britz": "britz2017.py",
  "tied_embeddings": "britz2017.py",
  "search_errors": "britz2017.py",
  "gnmt_penalties": "gnmt2016.py",
  "luong": "luong2015.py",
  "reversal_depth_ensemble": "sutskever2014.py",
}
TWINS = {"britz_depth": {"Enc-2", "Dec-2"}}  # one model, as in the paper
pytestmark = pytest.mark.usefixtures("strict")


def each_file(test):
  names = [path.stem for path in FILES]
  return pytest.mark.parametrize("path", FILES, ids=names)(test)


@functools.cache
def load(path: pathlib.Path) -> suite_lib.Ablation:
  spec = importlib.util.spec_from_file_location("suite", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_ablation()


@functools.cache
def configs(path: pathlib.Path, scale: str) -> dict[str, config.Config]:
  """The config of every row of a scale. Parsing is what takes the time."""
  suite = load(path).at(scale)
  base = functools.cache(lambda name: config.load(str(CONFIGS / name)))

  def words(row):
    return [*suite.scales[scale], *row.overrides]

  return {
    row.name: overrides.apply(base(row.base or suite.base), words(row), "x")
    for row in suite.rows
  }


@each_file
def test_every_row_of_every_scale_is_valid_and_another_one(path):
  """A model that stands in a table twice would be its own rival."""
  suite = load(path)
  assert {"smoke", "cpu"} <= set(suite.scales)
  twins = TWINS.get(path.stem, set())
  ensembles = {row.name: row.ensemble for row in suite.rows}
  for scale in suite.scales:
    seen = {}
    for name, conf in configs(path, scale).items():
      where = (scale, name)
      other = seen.setdefault((conf, ensembles[name]), name)
      assert other == name or {other, name} == twins, (*where, other)
      assert conf.train.validate_every <= conf.train.steps, where
      deciding = metrics.names("model", "outputs", diagnostics=False)
      assert suite.metric in deciding, where
      known = set(metrics.names())
      assert known >= set(suite.metrics), where


@each_file
def test_models_trace(path):
  """The last row, the one with most overrides in a ladder."""
  conf = list(configs(path, "smoke").values())[-1]
  params, _, metrics = test_configs.shapes(conf)
  optim.check_paths(conf.optim, params)
  assert all(m.shape == () for m in metrics.values())


@each_file
def test_published_numbers_exist(path):
  suite = load(path)
  for row in suite.rows:
    if row.published:
      entry = published.load(row.published)
      assert entry.metric == suite.metric, row.name
  for name in suite.curves:
    published.curve(name)


@each_file
def test_rows_of_a_scale_are_compared_within_it(path):
  suite = load(path)
  for scale in suite.scales:
    part = suite.at(scale)
    names = [row.name for row in part.rows]
    assert part.reference in names
    for row in part.rows:
      assert not row.reference or row.reference in names, (scale, row.name)
  assert any(suite.at(scale).orderings for scale in suite.scales)


@each_file
def test_unconfirmed_numbers_judge_nothing(path):
  """A claim between rows whose numbers are all recalled is not judged."""
  suite = load(path)
  rows = {row.name: row.published for row in suite.rows}

  def recalled(name):
    return rows[name] and published.load(rows[name]).unconfirmed

  for ordering in suite.orderings:
    if any(recalled(term.row) for term in ordering.terms):
      assert not ordering.judged, ordering.claim


@each_file
def test_docstring_names_the_command(path):
  text = ast.get_docstring(ast.parse(path.read_text()))
  words = text.replace("\\\n", " ").split()
  command = ["python", "-m", "seq2seq_jax.ablate"]
  at = next(i for i in range(len(words)) if words[i : i + 3] == command)
  assert words[at + 3] == f"configs/ablations/{path.name}"
  assert words[at + 4] == "--workdir"


@each_file
def test_the_largest_scale_is_the_paper_s(path):
  suite = load(path)
  paper = next((c for n, c in PAPERS.items() if path.stem.startswith(n)), None)
  if paper is None:
    assert "pod" not in suite.scales
    return
  assert suite.at("pod").base == paper
  # Other data may be scored, but nothing else is trained.
  assert suite.scales["pod"] in ((), scales.NEWSTEST2013)


def test_scan_is_the_paper_s_own_protocol():
  path = CONFIGS / "ablations" / "scan.py"
  suite = load(path)
  assert suite.scales["cpu"] == () and suite.checkpoint == "last"
  found = configs(path, "cpu")
  assert {c.train.steps for c in found.values()} == {100_000}
  assert {c.data.batch_size for c in found.values()} == {1}
  best = found["length, overall-best"].model
  assert (best.encoder.cell, best.encoder.layers) == ("lstm", 2)
  assert best.encoder.dim == 200
  top = found["length, top"].model
  assert (top.encoder.cell, top.attention.score) == ("gru", "additive")
  assert (top.encoder.layers, top.embed_dim, top.decoder.dim) == (1, 50, 50)
  assert top.dropout.rnn == 0.5
  jump = found["jump, top"]
  assert jump.data.name == "addprim_jump"
  assert (jump.model.encoder.cell, jump.model.encoder.dim) == ("lstm", 100)
  assert found["simple, top"].model.dropout.rnn == 0


def test_britz_counts_their_parameters():
  """At full size within 0.1 % of what the paper prints."""
  path = CONFIGS / "ablations" / "britz_cells.py"
  for name, conf in configs(path, "pod").items():
    params, _, _ = test_configs.shapes(conf)
    count = sum(p.size for p in test_configs.jax.tree.leaves(params))
    entry = published.load(f"britz2017/cells/{name}")
    assert count == pytest.approx(entry.more["parameters"], rel=1e-3), name


@pytest.mark.parametrize(
  "name", ["britz_decoding", "search_errors", "gnmt_penalties"]
)
def test_search_alone_differs(name):
  """Each seed is trained once."""
  found = configs(CONFIGS / "ablations" / f"{name}.py", "cpu").values()
  assert len({(c.data, c.model, c.optim, c.train) for c in found}) == 1
  assert len({c.decode for c in found}) == len(found)


def test_a_ladder_adds_up():
  found = configs(CONFIGS / "ablations" / "luong_ladder.py", "cpu")
  assert [c.data.reverse_source for c in found.values()][:2] == [False, True]
  last = found["local-p (general)"]
  assert last.data.reverse_source and last.model.decoder.input_feeding
  assert last.model.dropout.rnn == 0.2
  assert found["+ unknown words"].decode.replace_unknown
