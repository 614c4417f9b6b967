"""Parts of a model that begin as other models."""

import numpy as np
import pytest

from seq2seq_jax import archives, types
from seq2seq_jax.config import train
from seq2seq_jax.data import sides, tokenizers, vocabulary
from seq2seq_jax.training import warm_parts

pytestmark = pytest.mark.quick


def words(*symbols):
  settings = {"kind": "word", "lowercase": False, "sampling": 0.0}
  return tokenizers.build(settings | {"symbols": list(symbols)})


def texts(source, target):
  return vocabulary.Vocabularies(
    sides.SourceText(words(*source)), sides.TargetText(words(*target))
  )


OURS = texts(["a", "b", "c"], ["x", "y"])


def ours():
  """Parameters of a small model, all zeros."""
  layer = {"kernel": np.zeros((2, 4)), "recurrent": np.zeros((1, 4))}
  return {
    "params": {
      "encoder": {
        "embed": {"table": {"table": np.zeros((7, 2))}},
        "forward_0": dict(layer),
        "forward_1": dict(layer),
      },
      "decoder": {
        "embed_table": {"table": np.zeros((6, 2))},
        "layer_0": dict(layer),
        "readout_layer": {"kernel": np.zeros((3, 5))},
        "head": {"kernel": np.zeros((5, 6)), "bias": np.zeros(6)},
      },
    }
  }


@pytest.fixture
def model(tmp_path, monkeypatch):
  """A language model over the words c, b, z as a source of parameters."""
  rng = np.random.default_rng(0)
  arrays = {
    "params/decoder/layer_0/kernel": rng.normal(size=(2, 4)),
    "params/decoder/layer_0/recurrent": rng.normal(size=(1, 4)),
    "params/decoder/layer_1/kernel": rng.normal(size=(2, 4)),
    "params/decoder/embed_table/table": rng.normal(size=(7, 2)),
    "params/decoder/readout_layer/kernel": rng.normal(size=(1, 5)),
    "params/decoder/head/kernel": rng.normal(size=(5, 7)),
    "params/decoder/head/bias": rng.normal(size=7),
  }
  path = tmp_path / "lm.npz"
  np.savez(path, **arrays)
  assert archives.read(path).keys() == arrays.keys()
  other = vocabulary.Vocabularies(
    sides.NoSource(), sides.TargetText(words("c", "b", "y"))
  )
  monkeypatch.setattr(warm_parts, "_vocabularies", lambda source: other)
  return str(path), {k.removeprefix("params/"): v for k, v in arrays.items()}


def test_layers_are_renamed_by_pattern(model):
  path, theirs = model
  part = rf"encoder/forward_(\d)={path}:decoder/layer_\1"
  made = warm_parts.take(ours(), part, OURS)["params"]
  for i, name in ((0, "kernel"), (0, "recurrent"), (1, "kernel")):
    want = theirs[f"decoder/layer_{i}/{name}"]
    assert np.array_equal(made["encoder"][f"forward_{i}"][name], want)
  # What is not there, and what the pattern does not name, stays.
  assert not made["encoder"]["forward_1"]["recurrent"].any()
  assert not made["decoder"]["layer_0"]["kernel"].any()


def test_rows_are_taken_by_word(model):
  path, theirs = model
  part = f"encoder/embed/table={path}:decoder/embed_table"
  table = theirs["decoder/embed_table/table"]
  made = warm_parts.take(ours(), part, OURS)["params"]["encoder"]
  got = made["embed"]["table"]["table"]
  assert np.array_equal(got[:4], table[:4])  # the special ones
  assert not got[4].any()  # a
  assert np.array_equal(got[5:], table[[5, 4]])  # b, c


def test_a_decoder_s_softmax_and_readout(model):
  path, theirs = model
  made = warm_parts.take(ours(), f"decoder={path}:decoder", OURS)["params"]
  head = made["decoder"]["head"]
  kernel, bias = theirs["decoder/head/kernel"], theirs["decoder/head/bias"]
  assert np.array_equal(
    head["kernel"][:, [0, 1, 2, 3, 5]], (kernel[:, [0, 1, 2, 3, 6]])
  )
  assert not head["kernel"][:, 4].any() and not head["bias"][4]
  assert head["bias"][5] == bias[6]
  readout = made["decoder"]["readout_layer"]["kernel"]
  want = theirs["decoder/readout_layer/kernel"]
  assert np.array_equal(readout[:1], want)  # the state's
  assert not readout[1:].any()


def test_what_takes_nothing_is_refused(model):
  path, _ = model
  for part, message in (
    (f"encoder/forwards={path}:decoder", "no parameter's path begins so"),
    (f"encoder/forward_0={path}:other", "other/kernel is not there"),
    (rf"encoder/forward_0={path}:layer_\1", "invalid group"),
    ("encoder=nowhere:decoder", "train.init_parts: nowhere: no such"),
  ):
    with pytest.raises(types.UserError, match=message) as e:
      warm_parts.take(ours(), part, OURS)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("part", ["a", "a=b", "=b:c", "a=:c", "a=b:", "(=b:c"])
def test_what_is_no_part_is_refused(part):
  with pytest.raises(types.UserError, match=r"train\.init_parts"):
    train.Train(init_parts=(part,))
