"""Sizes that no memory holds are refused from the config, before any array."""

import math
import time

import jax
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.config import overrides
from seq2seq_jax.inference import sizing
from seq2seq_jax.models import build
from seq2seq_jax.runtime import memory
from seq2seq_jax.training import loop, size_estimate
from tests.helpers import tiny_runs

pytestmark = pytest.mark.quick

MOST = 10**6


@pytest.mark.parametrize(
  ("words", "message"),
  [
    ("--model.encoder.dim 1000000", "model.encoder.dim 1,000,000"),
    ("--model.decoder.dim 1000000", "model.decoder.dim 1,000,000"),
    ("--model.readout.dim 1000000 --model.decoder.dim 100000", "readout.dim"),
    (
      "--model.encoder.layers 256 --model.encoder.dim 30000",
      "model.encoder.dim 30,000 and model.encoder.layers 256",
    ),
    (
      "--model.encoder.kind transformer --model.transformer.hidden 10000000 "
      "--model.transformer.dim 1024",
      "model.transformer.hidden 10,000,000",
    ),
    ("--data.batch_size 100000000", "data.batch_size 100,000,000"),
    ("--train.seeds 1000 --model.decoder.dim 4096", "and train.seeds 1,000"),
    (
      "--train.steps_per_call 100000 --train.steps 100000 "
      "--train.validate_every 100000 --data.batch_size 1000000",
      "train.steps_per_call 100,000",
    ),
    (
      "--data.task copy --data.synthetic.train 100000000",
      "synthetic.train 100",
    ),
    ("--data.task copy --data.synthetic.max_length 1000000", "max_length 1,0"),
    (
      "--model.attention.score location --model.attention.positions 10000000 "
      "--model.decoder.dim 4096",
      "model.attention.positions 10,000,000",
    ),
  ],
)
def test_what_no_memory_holds_names_the_largest_fields(
  words, message, monkeypatch
):
  monkeypatch.setattr(memory, "of_machine", lambda: 16 * memory.GIB)
  monkeypatch.setattr(memory, "of_device", lambda device: 16 * memory.GIB)
  conf = overrides.apply(config.Config(), words.split(), "x")
  start = time.monotonic()
  with pytest.raises(types.UserError) as caught:
    size_estimate.check(conf)
  assert time.monotonic() - start < 1
  told = str(caught.value)
  assert message in told and "GiB" in told and "has 16.0 GiB" in told
  assert "\n" not in told and len(told) < 300


def test_a_run_is_refused_before_anything_is_made(tmp_path):
  conf = tiny_runs.tiny(model={"encoder.dim": MOST})
  with pytest.raises(types.UserError, match="training would need at least"):
    loop.fit(conf, tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_vocabularies_count_when_they_are_known():
  conf = config.replace(config.Config(), {"model.embed_dim": 4096})
  size_estimate.check(conf)
  with pytest.raises(types.UserError, match="embed_dim 4,096 and the vocab"):
    size_estimate.check(conf, (10**8, 10**3))


@pytest.mark.parametrize(
  "changes",
  [
    {},
    {"attention.score": "additive"},
    {"attention.score": "location"},
    {"attention.score": "dot", "decoder.dim": 512},
    {"encoder.cell": "gru", "encoder.layers": 3, "decoder.layers": 2},
    {"encoder.kind": "transformer", "decoder.kind": "transformer"},
    {"readout.kind": "linear", "tie": "none"},
    {"readout.kind": "maxout", "encoder.direction": "forward"},
    {"tie": "decoder", "embed_dim": 512},
    {"transition_depth": 2, "encoder.cell": "ln_gru"},
    {
      "attention.score": "none",
      "decoder.input_feeding": False,
      "decoder.context": "all",
    },
  ],
)
def test_it_is_a_lower_bound_and_near(changes):
  """Against the shapes that the modules themselves declare."""
  model = config.replace(config.Model(), changes)
  module = build.build(model, 900, 700)

  def init(key):
    return module.init(key, build.example(False), method="initialize")

  shapes = jax.eval_shape(init, jax.random.key(0))
  true = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
  parts = size_estimate.parameters(model, 900, 700)
  assert 0.3 * true < sum(part.size for part in parts) <= true


def test_a_search_that_no_memory_holds_is_refused(monkeypatch):
  monkeypatch.setattr(memory, "of_device", lambda device: 2**30)
  sizing.check_search(64, 10, 30_000, None)
  with pytest.raises(
    types.UserError, match="beam_size 10,000 need at least 71"
  ):
    sizing.check_search(64, 10_000, 30_000, None)
