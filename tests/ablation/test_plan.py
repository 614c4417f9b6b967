"""Cells of a table: which trainings they share, and what identifies them."""

import inspect
import pathlib

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.ablation import cells, orderings, plan, suite, suite_files
from seq2seq_jax.data import corpus
from tests.helpers import finished, tiny_table

pytestmark = pytest.mark.quick


def test_rows_that_differ_in_search_share_their_trainings(tmp_path):
  by_row = {}
  table = tiny_table.planned(tmp_path)
  for cell in table.cells:
    by_row.setdefault(cell.row, []).append(cell)

  def folders(row):
    return [[m.folder for m in cell.members] for cell in by_row[row]]

  assert folders("attention") == folders("greedy") != folders("fixed")
  assert folders("attention")[0] == [tmp_path / "cells/attention/seed_0"]
  # The members of an ensemble are nobody else's, from seed to seed.
  members = [path.name for row in folders("two") for path in row]
  assert members == ["seed_0", "seed_1", "seed_2", "seed_3"]
  assert [m.config.train.seed for m in by_row["two"][1].members] == [2, 3]
  assert len({cell.key for cell in table.cells}) == len(table.cells)


def test_rows_of_other_test_sets_share_their_trainings(tmp_path):
  """But not rows of another beam in validation, which chooses the best."""
  rules = "--data.task copy_rules --data.name all --data.synthetic.rules 5"
  rows = (
    suite.Row("all", rules),
    suite.Row("some", f"{rules} --data.test x_xx"),
    suite.Row("beam", f"{rules} --decode.valid_beam_size 2"),
  )
  table = tiny_table.planned(
    tmp_path, 1, rows=rows, reference="all", orderings=()
  )
  folders = [c.members[0].folder.parent.name for c in table.cells]
  assert folders == ["all", "all", "beam"]
  assert len({cell.key for cell in table.cells}) == 3
  tests = [corpus.Corpus(c.data).test for c in table.configs.values()]
  assert 5 * len(tests[1]) == len(tests[0]) == len(tests[2])


def test_seeds_in_one_program(tmp_path):
  table = tiny_table.planned(tmp_path, 3, together=True)
  jobs = {(job[0].row, len(job)): job for job in table.jobs()}
  [training] = {m for cell in jobs["attention", 3] for m in cell.members}
  assert training.config.train.seeds == 3 and training.seeds == (0, 1, 2)
  assert len(jobs["two", 1][0].members) == 2


def test_jobs_go_seed_by_seed(tmp_path):
  jobs = tiny_table.planned(tmp_path).jobs()
  names = [cell.name for job in jobs for cell in job]
  assert names[:5] == [
    "attention, seed 0",
    "greedy, seed 0",
    "fixed, seed 0",
    "two, seed 0",
    "attention, seed 1",
  ]


def test_what_identifies_a_cell(tmp_path):
  def key(*overrides, **changes):
    return tiny_table.planned(tmp_path, 1, overrides, **changes).cells[0].key

  assert key() == key("--data.workers", "2", "--train.log_every", "7")
  others = {
    key(),
    key("--train.steps", "80"),
    key("--decode.beam_size", "2"),
    key("--data.synthetic.train", "200"),
    key(checkpoint="last"),
    key(metrics=()),
  }
  assert len(others) == 6


def test_fields_of_execution_exist():
  names = {name for name, _, _ in config.leaves(config.Config())}
  assert set(plan.EXECUTION_ONLY) <= names


def test_every_other_field_is_part_of_the_identity():
  conf = config.Config()
  names = {name for name, _, _ in config.leaves(conf)}
  identity = plan.result_identity(conf, {"train": "a"})
  extra = {"format_version", "data checksums"}
  assert set(identity) == names - set(plan.EXECUTION_ONLY) | extra
  training = plan.training_identity(conf, {"train": "a", "test": "b"})
  assert training["data checksums"] == {"train": "a"}
  assert "data.test" not in training and "decode.beam_size" not in training


def set_default(monkeypatch, section, name, value):
  """Changes the default of a field of the schema."""
  init = inspect.unwrap(section.__init__)
  names = [
    parameter.name
    for parameter in inspect.signature(init).parameters.values()
    if parameter.default is not parameter.empty
    and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
  ]
  defaults = dict(zip(names, init.__defaults__, strict=True)) | {name: value}
  monkeypatch.setattr(init, "__defaults__", tuple(defaults.values()))


@pytest.mark.parametrize("changed", ["default", "format"])
def test_a_changed_default_makes_a_finished_cell_stale(
  tmp_path, monkeypatch, changed
):
  cell = tiny_table.planned(tmp_path, 1).cells[0]
  finished.write(cell)
  assert tiny_table.planned(tmp_path, 1).cells[0].status()["status"] == "done"
  if changed == "default":
    message = f"optim.b2: {config.Optim().b2!r} -> 0.98"
    set_default(monkeypatch, config.Optim, "b2", 0.98)
  else:
    version = config.FORMAT_VERSION
    message = f"format_version: {version} -> {version + 1}"
    monkeypatch.setattr(config, "FORMAT_VERSION", version + 1)
  cell = tiny_table.planned(tmp_path, 1).cells[0]
  assert cell.status() == {"status": "stale", "changed": [message]}


def test_a_result_of_another_format_is_stale(tmp_path, monkeypatch):
  """Also one whose key is right: its files may mean something else."""
  cell = tiny_table.planned(tmp_path, 1).cells[0]
  monkeypatch.setattr(cells, "RESULT_VERSION", 1)
  finished.write(cell)
  assert cell.status()["status"] == "done"
  monkeypatch.undo()
  version = cells.RESULT_VERSION
  assert cell.status() == {
    "status": "stale",
    "changed": [f"format of results: 1 -> {version}"],
  }


SUITE = """from seq2seq_jax.ablation import suite

def get_ablation():
  return suite.Ablation(
    title="Mine",
    base={base!r},
    rows=(suite.Row("a"), suite.Row("b", {{"decode.beam_size": 1}})),
    metric={metric!r},
    scale="none",
  )
"""


def _file(folder: pathlib.Path, base=tiny_table.CONFIG, metric="bleu"):
  file = folder / "suites" / "x.py"
  file.parent.mkdir(exist_ok=True)
  file.write_text(SUITE.format(base=base, metric=metric))
  return file


def test_a_file_of_ones_own(tmp_path):
  ablation = suite_files.load(_file(tmp_path))
  assert (ablation.metric, ablation.base) == ("bleu", tiny_table.CONFIG)
  table = plan.Plan(ablation, tmp_path, 1)
  assert table.configs["b"].decode.beam_size == 1


@pytest.mark.parametrize("place", ["suites", "."])
def test_the_base_lies_beside_the_file_or_above(tmp_path, place):
  file = _file(tmp_path, "mine.py")
  base = tmp_path / place / "mine.py"
  base.write_text(pathlib.Path(tiny_table.CONFIG).read_text())
  path = suite_files.load(file).base
  assert pathlib.Path(path).resolve() == base.resolve()


def test_a_suite_may_be_called_like_its_base(tmp_path):
  file = _file(tmp_path, "x.py")  # suites/x.py itself is no base
  base = tmp_path / "x.py"
  base.write_text(pathlib.Path(tiny_table.CONFIG).read_text())
  assert pathlib.Path(suite_files.load(file).base).resolve() == base.resolve()


def test_a_part_of_ones_own_is_known_by_its_content(tmp_path):
  """A row names it from its suite's file; moving it makes nothing stale."""
  keys = []
  for name, text in (("a", "x = 1"), ("b", "x = 1"), ("a", "x = 2")):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    file = _file(folder)
    (file.parent / "score.py").write_text(text)
    file.write_text(
      file.read_text().replace(
        '{"decode.beam_size": 1}', '{"model.attention.score": "score.py:x"}'
      )
    )
    ablation = suite_files.load(file)
    assert ablation.rows[1].overrides[1] == f"{file.parent}/score.py:x"
    keys.append(plan.Plan(ablation, tmp_path / "t", 1).cells[1].key)
  assert keys[0] == keys[1] != keys[2]


def test_a_metric_of_ones_own_is_called_by_its_function(tmp_path):
  file = _file(tmp_path, metric="mine.py:brevity")
  (file.parent / "mine.py").write_text(
    "def brevity(hypotheses, references, comparison): return 1.0"
  )
  ablation = suite_files.load(file)
  assert ablation.metric == f"{file.parent}/mine.py:brevity"
  table = plan.Plan(ablation, tmp_path, 1)
  assert table.metric == ablation.metric
  assert table.ablation.metric == "brevity"
  [name] = table.cells[0].identity["metrics"]
  assert name.startswith("extensions/mine-") and name.endswith(":brevity")
  file.write_text(file.read_text().replace("mine.py:brevity", "mine.py:long"))
  with pytest.raises(types.UserError, match="defines no long; it has brevity"):
    suite_files.load(file)


def test_a_base_may_be_a_config(tmp_path):
  conf = config.load(tiny_table.CONFIG)
  table = tiny_table.planned(tmp_path, 1, base=conf)
  other = tiny_table.planned(tmp_path, 1)
  assert [c.key for c in table.cells] == [c.key for c in other.cells]
  assert table.ablation.base == "a Config"


@pytest.mark.parametrize(
  "text, message",
  [
    ("import math\n", "must define get_ablation"),
    ("x = 1\ndef get_ablation(:", r"x\.py, line 2: SyntaxError: invalid"),
    ("def get_ablation():\n  pass", r"x\.py: get_ablation\(\) must return a"),
    ("\n\nimport nonesuch", r"x\.py, line 3: ModuleNotFoundError: No module"),
    (
      SUITE.format(base="x", metric="bleu").replace("rows=", "rosw="),
      r"x\.py, line 4: TypeError: .*rosw",
    ),
    (
      SUITE.format(base="x", metric="exact_mach"),
      r"x\.py: unknown metric 'exact_mach'; nearest: exact_m",
    ),
  ],
)
def test_bad_files_are_refused_with_the_place(tmp_path, text, message):
  file = tmp_path / "x.py"
  file.write_text(text)
  with pytest.raises(types.UserError, match=message):
    suite_files.load(file)


@pytest.mark.parametrize(
  "overrides, message",
  [
    (
      {"train.stepps": 3},
      "--train.stepps: no such field; nearest: --train.steps",
    ),
    (
      {"train.steps": "many"},
      "--train.steps: must be a whole number .*, not 'many'",
    ),
    (
      {"train.steps": 2.5},
      "--train.steps: must be a whole number .*, not '2.5'",
    ),
    ({"train.steps": 0}, "train.steps: must be at least 1"),
    (
      {"decode.length_rule": 3},
      "decode.length_rule: '3' is not a choice; .*, word_reward",
    ),
    (
      {"decode.exact": True},
      "--decode.exact: must be a whole number .*, not 'True'",
    ),
  ],
)
def test_rows_are_checked_by_the_schema(tmp_path, overrides, message, capfd):
  rows = (suite.Row("attention", overrides),)
  with pytest.raises(types.UserError, match=f"row 'attention': {message}"):
    tiny_table.planned(tmp_path, 1, rows=rows, reference="", orderings=())
  assert capfd.readouterr() == ("", "")


def test_bases_are_found_from_anywhere(tmp_path, monkeypatch):
  """Beside the table's file, a folder above it, or in the package."""
  (tmp_path / "configs" / "tables").mkdir(parents=True)
  base = pathlib.Path(tiny_table.CONFIG)
  (tmp_path / "configs" / "mine.py").write_text(base.read_text())
  file = tmp_path / "configs" / "tables" / "table.py"
  file.write_text(
    "from seq2seq_jax.ablation import suite\n"
    "def get_ablation():\n"
    "  return suite.Ablation('t', base='mine.py', rows=(suite.Row('a'),),\n"
    "    metric='bleu')\n"
  )
  for folder, name in (
    (file.parent, "table.py"),
    (file.parent.parent, "tables/table.py"),
    (tmp_path.parent, file),
  ):
    monkeypatch.chdir(folder)
    ablation = suite_files.load(name)
    assert pathlib.Path(ablation.base) == tmp_path / "configs" / "mine.py"
  # A report shows no path of the machine that lies above.
  monkeypatch.chdir(tmp_path)
  assert plan._printable(ablation).base == "configs/mine.py"
  planned = tiny_table.planned(
    tmp_path / "t", 1, base="keras_tutorial.py", scales={}
  )
  assert planned._base("keras_tutorial.py").model.encoder.cell == "lstm"


def test_bad_tables_are_refused(tmp_path):
  with pytest.raises(types.UserError, match=r"table .*x\.py: no such file"):
    suite_files.load(tmp_path / "x.py")
  assert tiny_table.ablation(scales={}).at("smoke").scale == "smoke"
  with pytest.raises(ValueError, match="no row is called 'best'"):
    tiny_table.ablation(reference="best")
  with pytest.raises(ValueError, match="has the same folder, "):
    tiny_table.ablation(rows=(suite.Row("fixed"), suite.Row("Fixed")))
  with pytest.raises(ValueError, match=r"scale 'gpu': there are smoke, none"):
    tiny_table.ablation().at("gpu")
  with pytest.raises(ValueError, match="'wer' is not one of the table's"):
    claim = orderings.below("attention", "fixed", "wer")
    tiny_table.ablation(orderings=(claim,))
