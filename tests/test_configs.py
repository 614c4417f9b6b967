"""Every config file is a whole experiment: it loads, builds and traces."""

import ast
import math
import pathlib
import re
import shlex

import jax
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.config import overrides
from seq2seq_jax.models import build
from seq2seq_jax.training import objectives, optim, step

FILES = sorted((pathlib.Path(__file__).parent.parent / "configs").glob("*.py"))
TRAIN = ["python", "-m", "seq2seq_jax.train"]
pytestmark = pytest.mark.usefixtures("strict")


def each_file(test):
  names = [path.stem for path in FILES]
  return pytest.mark.parametrize("path", FILES, ids=names)(test)


def commands(path: pathlib.Path) -> list[list[str]]:
  """The arguments of the training commands that the docstring names."""
  text = ast.get_docstring(ast.parse(path.read_text()))
  lines = text.replace("\\\n", " ").splitlines()
  words = [shlex.split(line) for line in lines if line.startswith("    ")]
  n = len(TRAIN)
  return [w[n:] for w in words if w[:n] == TRAIN]


def experiments(path: pathlib.Path) -> list[config.Config]:
  """The file's own config and those of its commands, each program once."""
  conf = config.load(str(path))
  found = {(conf.model, conf.optim): conf}
  for name, *words in commands(path):
    assert name == f"configs/{path.name}"
    at = words.index("--workdir")
    rest = words[:at] + words[at + 2 :]
    other = overrides.apply(conf, rest, " ".join(TRAIN)) if rest else conf
    found.setdefault((other.model, other.optim), other)
  return list(found.values())


def sizes(data: config.Data) -> tuple[int | None, int]:
  """Vocabularies of the largest size that the config allows."""
  source = data.source.vocab_size if data.has_source() else None
  return source, source if data.joint else data.target.vocab_size


def shapes(conf: config.Config):
  """Shapes of the parameters, of a train step's state and of its metrics."""
  module = build.build(
    conf.model, *sizes(conf.data), ctc="ctc" in conf.optim.objective_weights()
  )
  batch = build.example(
    conf.data.task == "language_model",
    rows=conf.optim.accumulate,
    frames=conf.model.encoder.features,
    copies=conf.model.head != "softmax",
  )
  optimizer = optim.optimizer(conf.optim)
  update = step.make_train_step(
    objectives.make_loss(module, conf.optim),
    optimizer,
    optim.schedule(conf.optim, conf.train.steps),
    normalize=conf.optim.normalize,
    accumulate=conf.optim.accumulate,
    ema_decay=conf.optim.ema_decay,
  )

  def run(rng, batch):
    params = module.init(rng, batch, method="initialize")
    ema = conf.optim.ema_decay > 0
    state = step.init_state(params, optimizer, conf.train.seed, ema)
    return params, *update(state, batch)

  return jax.eval_shape(run, jax.random.key(0), batch)


@each_file
def test_builds_and_traces(path):
  for conf in experiments(path):
    params, state, metrics = shapes(conf)
    optim.check_paths(conf.optim, params)
    count = sum(math.prod(p.shape) for p in jax.tree.leaves(params))
    assert 0 < count < 1e9
    assert jax.tree.map(np.shape, state.params) == jax.tree.map(
      np.shape, params
    )
    assert all(m.shape == () for m in metrics.values())


@pytest.mark.quick
@each_file
def test_is_stored_and_validated(path):
  conf = config.load(str(path))
  assert config.from_json(config.to_json(conf), "here") == conf
  assert conf.train.validate_every <= conf.train.steps


@pytest.mark.quick
@each_file
def test_docstring_names_a_command(path):
  assert commands(path), "no line begins `python -m seq2seq_jax.train`"


@pytest.mark.quick
def test_there_are_configs():
  assert FILES


REFUSED = {
  "--decode.coverage -1": "decode.coverage: must be at least 0 and .*, not -1",
  "--decode.exact -1": "decode.exact: must be at least 0",
  "--decode.exact 5 --decode.coverage 0.2": "neither coverage nor",
  "--decode.exact 5 --decode.replace_unknown True": "neither coverage nor",
  "--decode.coverage 0.2 --model.attention.score none "
  "--model.decoder.input_feeding False": "coverage: needs an attention",
  "--optim.clip_norm -1": "clip_norm: must be at least 0",
  "--optim.clip_norm inf": "clip_norm: inf is not a finite number",
  "--optim.learning_rate nan": "learning_rate: nan is not a finite number",
  "--optim.decay_factor 1.5": "must be above 0 and at most 1, not 1.5",
  "--optim.b2 1": "b2: must be at least 0 and below 1, not 1",
  "--optim.min_learning_rate 1": "at most optim.learning_rate",
  "--optim.rates x=nan": "'x=nan' is not REGEX=FACTOR",
  "--train.checkpoint_minutes -1": "checkpoint_minutes: must be at least 0",
  "--model.encoder.cell sru --model.dropout.state 0.1": (
    "model.dropout.state: sru has no"
  ),
  "--data.task language_model --data.train x --data.alternatives True": (
    "alternatives: a language model"
  ),
  "--data.source.lowercase True --model.head pointer": (
    "copying compares words of both sides"
  ),
  "--decode.forbid_unknown True --decode.replace_unknown True": (
    "forbid_unknown: leaves no unknown word"
  ),
  "--data.joint True --data.target.lowercase True": "leave data.target",
  "--data.task audio": "data.train: task audio takes 1 or more name",
  "--data.holdout 5 --data.valid x --data.task tsv --data.train x": (
    "where there is no data.valid"
  ),
  "--optim.sampling constant": "feeds no other",
  "--optim.sampling linear": "is a positive slope",
  "--model.attention.score none --model.decoder.input_feeding False "
  "--model.attention.window predictive": (
    "attention.window: predictive needs an attention"
  ),
  "--data.task language_model --data.train x --model.decoder.kind transformer "
  "--optim.objectives likelihood coverage": "no source to cover",
  "--decode.max_ratio 0 --decode.max_extra 0": "output would be empty",
  "--data.batch_size 12": r"multiple of row_multiple \(8\)",
  "--data.order replacement --data.buckets 0": "buckets: must be at least 1",
  "--model.tie all": "one vocabulary for both sides",
  "--model.decoder.placement bahdanau --model.attention.score none": (
    "placement: bahdanau needs an attention"
  ),
  "--model.head copynet --optim.label_smoothing 0.1": "a head that copies",
  "--optim.accumulate 3": r"must divide data.row_multiple \(8\)",
  "--optim.schedule inverse_sqrt --optim.warmup_steps 0": "needs a warm-up",
  "--train.metrics blue": "nearest: bleu",
  "--train.seed -1": "seed: must be at least 0 and below 4,294,967,296",
  "--train.seed 4294967295 --train.seeds 2": "seed: the last of train.seeds",
  "--data.seed -1": "data.seed: must be at least 0",
  "--data.reverse_source True --model.attention.window monotonic": (
    "let the encoder read backwards"
  ),
  "--decode.replace_unknown True --model.encoder.layers 2 "
  "--model.encoder.reductions 1": "a position for every word",
  "--train.steps 10 --train.steps_per_call 4": "multiple of",
}


@pytest.mark.quick
@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_is_refused_with_the_field(words):
  base = config.load(str(FILES[0].parent / "scan_simple.py"))
  with pytest.raises(types.UserError, match=REFUSED[words]):
    overrides.apply(base, words.split(), "x")


WRITTEN = {
  'model=config.Model(encoder=config.Encoder(cell="lstmm"))': (
    "model.encoder.cell: 'lstmm' is not a choice; near"
  ),
  'model=config.Model(encoder=config.Encoder(dim="64"))': (
    "model.encoder.dim: '64' is not a whole"
  ),
  "train=config.Train(steps=10.5)": "train.steps: 10.5 is not a whole number",
  "train=config.Train(steps=True)": "train.steps: True is not a whole number",
  'optim=config.Optim(learning_rate="3e-4")': (
    "optim.learning_rate: '3e-4' is not a"
  ),
  'data=config.Data(train="a.txt")': (
    "data.train: 'a.txt' is not a tuple of strings"
  ),
  "data=config.Data(joint=1)": "data.joint: 1 is not of type bool",
  "data=config.Model()": "data: Model.* is not of type Data",
  "model=config.Model(encoder=config.Encoder(layers=0))": (
    "model.encoder.layers: must be at least 1 and at most 256, not 0"
  ),
}


@pytest.mark.quick
@pytest.mark.parametrize("text", WRITTEN)
def test_what_a_file_says_wrongly_is_told_with_its_line(
  text, tmp_path, monkeypatch
):
  path = tmp_path / "x.py"
  path.write_text(
    "from seq2seq_jax import config\n\ndef get_config():\n"
    f"  return config.Config({text})\n"
  )
  monkeypatch.chdir(tmp_path)
  for name in (str(path), "x.py", "./x.py"):
    with pytest.raises(types.UserError) as e:
      config.load(name)
    shown = pathlib.Path(name)
    assert re.fullmatch(rf"{shown}, line 4: {WRITTEN[text]}.*", str(e.value))


@pytest.mark.quick
def test_a_stored_config_s_errors_name_it():
  text = config.to_json(config.Config())
  for old, new in (('"steps": ', '"steps": "x", "was": '), ("{", "")):
    with pytest.raises(types.UserError, match=r"^here"):
      config.from_json(text.replace(old, new, 1), "here")


@pytest.mark.quick
def test_a_whole_number_is_a_number():
  assert config.Optim(learning_rate=1).learning_rate == 1


@pytest.mark.quick
def test_replace_takes_dotted_names_and_names_the_nearest():
  changes = {"model.encoder.dim": 8, "model.decoder.bridge": "zero"}
  conf = config.replace(config.Config(), changes)
  assert (conf.model.encoder.dim, conf.model.decoder.bridge) == (8, "zero")
  assert conf.model.decoder.dim == config.Config().model.decoder.dim
  with pytest.raises(types.UserError, match=r"nearest: model\.encoder\.dim"):
    config.replace(conf, {"mode.encoder.dim": 8})
  with pytest.raises(types.UserError, match=r"dims: no such field; .*dim"):
    config.replace(conf, {"model.encoder.dims": 8})


@pytest.mark.quick
def test_another_format_version_is_refused_in_one_line():
  text = config.to_json(config.Config())
  old = text.replace('"format_version": 2', '"format_version": 1')
  with pytest.raises(types.UserError) as e:
    config.from_json(old, "runs/x/config.json")
  assert str(e.value).startswith("runs/x/config.json: has format_version 1")
  assert "train again" in str(e.value) and "\n" not in str(e.value)
