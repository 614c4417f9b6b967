"""Imported models as workdirs: what is taken, refused, and written."""

import flax.traverse_util
import numpy as np
import pytest

from seq2seq_jax import convert, types
from seq2seq_jax.checkpoints import run_record, select
from seq2seq_jax.inference import loading
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.training import run as run_lib
from seq2seq_jax.training import warm_start
from tests.helpers import tiny_runs

SOURCES = ["1 2 3", "4", "5 1 5 1"]


@pytest.fixture(scope="module")
def arrays(whole):
  """Parameters of a run by their paths."""
  tree = warm_start.load_params(str(whole))
  return flax.traverse_util.flatten_dict(tree, sep="/")


def save(path, arrays):
  np.savez(path, **arrays)
  return str(path)


def words(whole, path, workdir):
  config = ["--config", str(whole / "config.json")]
  return ["npz", path, "--workdir", str(workdir), *config] + [
    "--vocabulary",
    str(whole),
  ]


@pytest.fixture(scope="module")
def converted(whole, arrays, tmp_path_factory):
  """A workdir made of the arrays of a run."""
  folder = tmp_path_factory.mktemp("converted")
  path = save(folder / "a.npz", arrays)
  assert convert.main(words(whole, path, folder / "w")) == 0
  return folder / "w"


def test_the_workdir_is_that_of_a_run(whole, converted, arrays, model):
  tree, step = select.load(converted, "best")
  assert step == 1
  found = flax.traverse_util.flatten_dict(tree, sep="/")
  assert found.keys() == arrays.keys()
  for name, value in arrays.items():
    np.testing.assert_array_equal(found[name], value)
  ours = model_lib.load(converted)
  assert ours.translate(SOURCES) == model.translate(SOURCES)
  assert run_record.read(converted).saved
  names = {p.name for p in converted.iterdir()}
  assert names == {"config.json", "run.json", "tokenizers", "checkpoints"}
  both = model_lib.load([converted, whole])  # joins an ensemble
  assert both.translate(SOURCES) == model.translate(SOURCES)


def test_another_run_starts_from_it(converted, arrays, tmp_path):
  here = str(converted)
  conf = tiny_runs.tiny(train={"init_from": here}, data={"vocabulary": here})
  check_params(run_lib.Run(conf, tmp_path / "on"), arrays)


def test_it_can_be_resumed(converted, arrays):
  conf = loading.read_config(converted)
  run = run_lib.Run(conf, converted)
  assert run.step == run.first_step == 1 and not run.complete
  check_params(run, arrays)


def check_params(run, arrays):
  found = flax.traverse_util.flatten_dict(run.params(), sep="/")
  for name, value in arrays.items():
    np.testing.assert_array_equal(found[name], value)


def test_what_went_where_is_printed(whole, arrays, tmp_path, capsys):
  path = save(tmp_path / "a.npz", arrays)
  assert convert.main(words(whole, path, tmp_path / "w")) == 0
  *lines, blank, last = capsys.readouterr().out.splitlines()
  assert len(lines) == len(arrays) and not blank
  name = "params/encoder/embed/table/table"
  shape = ", ".join(map(str, arrays[name].shape))
  assert f"{name} -> {name} [{shape}]" in lines
  size = sum(x.size for x in arrays.values())
  assert last.startswith(f"wrote {tmp_path / 'w'}: {size:,} parameters, ")


def changed(arrays, how):
  name = "params/decoder/head/bias"
  new = dict(arrays)
  if how == "missing":
    del new[name]
  elif how == "left over":
    new["params/decoder/other/bias"] = arrays[name]
  elif how == "no parameter":
    new["other"] = arrays[name]
  elif how == "shape":
    new[name] = arrays[name][:-1]
  elif how == "integers":
    new[name] = np.zeros(arrays[name].shape, np.int32)
  elif how == "not finite":
    new[name] = arrays[name] * np.nan
  return new


@pytest.mark.parametrize(
  ("how", "message"),
  [
    ("missing", "nothing in it is params/decoder/head/bias"),
    ("left over", "config has no parameter params/decoder/other/bias"),
    ("no parameter", "other is no path of a parameter"),
    ("shape", r"head/bias has the shape \[\d+\], but the model .* makes it"),
    ("integers", "head/bias holds int32, no floating-point"),
    ("not finite", "values of params/decoder/head/bias are not finite"),
  ],
)
def test_arrays_that_do_not_make_the_model(
  how, message, whole, arrays, tmp_path, capsys
):
  path = save(tmp_path / "a.npz", changed(arrays, how))
  with pytest.raises(types.UserError, match=message):
    convert.main(words(whole, path, tmp_path / "w"))
  assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
  assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
  ("more", "message"),
  [
    (["--source-vocab", "x"], "--source-vocab: format npz has no use for it"),
    (["--model.embed_dim", "3"], "--model.embed_dim: the model .* decides"),
    (["--data.source.lowercase=True"], "--data.source.lowercase: the model"),
    (["--train.stepz", "3"], "train.stepz"),
    (["--config", "not_there.json"], "not_there.json"),
    (["--vocabulary", "not_there"], "not_there"),
  ],
  ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_words(more, message, whole, arrays, tmp_path):
  path = save(tmp_path / "a.npz", arrays)
  with pytest.raises(types.UserError, match=message):
    convert.main([*words(whole, path, tmp_path / "w"), *more])
  assert not (tmp_path / "w").exists()


def test_a_format_and_a_file_that_are_not_there(tmp_path):
  w = ["--workdir", str(tmp_path / "w")]
  with pytest.raises(types.UserError, match=r"format nothing: there are .*npz"):
    convert.main(["nothing", str(tmp_path), *w])
  with pytest.raises(types.UserError, match=r"no such file or folder"):
    convert.main(["npz", str(tmp_path / "x.npz"), *w])


@pytest.mark.parametrize("name", ["a run", "a file in it", "inside a run"])
def test_a_workdir_that_is_there_stays(name, whole, arrays, tmp_path):
  place = tmp_path / "there"
  if name == "a run":
    place = whole
  elif name == "inside a run":
    place = whole / "w"
  else:
    place.mkdir()
    (place / "x").write_text("mine")
  path = save(tmp_path / "a.npz", arrays)
  before = sorted(p.name for p in place.glob("*"))
  with pytest.raises(types.UserError, match="choose a"):
    convert.main(words(whole, path, place))
  assert sorted(p.name for p in place.glob("*")) == before


def test_fields_of_data_and_search_can_be_given(whole, arrays, tmp_path):
  path = save(tmp_path / "a.npz", arrays)
  more = ["--decode.beam_size", "3", "--optim.optimizer", "sgd"]
  (tmp_path / "w").mkdir()  # an empty one is taken
  assert convert.main([*words(whole, path, tmp_path / "w"), *more]) == 0
  conf = model_lib.load(tmp_path / "w").config
  assert conf.decode.beam_size == 3 and conf.optim.optimizer == "sgd"
