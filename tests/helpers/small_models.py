"""Small models of many kinds, with every leaf drawn."""

import dataclasses

import jax
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.models import build, layers
from tests.helpers.numeric import scattered

VOCAB = 11
SMALL = config.Model(
  embed_dim=5,
  encoder_dim=3,
  decoder_dim=6,
  attention_dim=4,
  readout_dim=7,
  context_length=4,
)

CONFIGS = {
  "luong": {},
  "luong_without_feeding": {"input_feeding": False},
  "luong_dot": {"attention": "dot", "bridge": "zero"},
  "luong_linear": {"attention": "dot", "readout": "linear"},
  "deep_dot": {
    "attention": "dot",
    "input_feeding": False,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "bridge": "last",
  },
  "deep_feeding_gru": {
    "cell": "gru",
    "decoder_layers": 3,
    "encoder_layers": 2,
    "stacking": "separate",
  },
  "bahdanau": {
    "cell": "gru",
    "attention": "additive",
    "placement": "before",
    "input_feeding": False,
    "bridge": "mean",
  },
  "bahdanau_feeding": {
    "attention": "additive",
    "placement": "before",
    "decoder_layers": 2,
  },
  "general_before": {"placement": "before", "input_feeding": False},
  "additive_after": {
    "cell": "gru",
    "attention": "additive",
    "input_feeding": False,
    "decoder_layers": 2,
  },
  "none_start": {"attention": "none", "input_feeding": False},
  "none_feeding_gru": {"attention": "none", "cell": "gru"},
  "none_every_step": {
    "attention": "none",
    "context_at": "every_step",
    "bridge": "zero",
    "input_feeding": False,
  },
  "none_both_feeding": {"attention": "none", "context_at": "both"},
  "none_all_start": {
    "attention": "none",
    "context": "all",
    "input_feeding": False,
  },
  "none_all_both": {
    "attention": "none",
    "context": "all",
    "context_at": "both",
    "readout": "linear",
    "cell": "gru",
    "direction": "forward",
    "decoder_layers": 2,
  },
  "tie_decoder": {"tie": "decoder", "readout_dim": 5},
  "tie_decoder_projected": {"tie": "decoder", "input_feeding": False},
  "tie_all": {"tie": "all", "attention": "additive", "init": "uniform"},
}


def example(seed=0, source=6, target=5):
  """Four rows of various lengths, one of them full, pad behind."""
  rng = np.random.default_rng(seed)
  src_len = np.array([source, 3, 1, source - 1], np.int32)
  tgt_len = np.array([3, target, 1, target - 1], np.int32)
  src = rng.integers(4, VOCAB, (4, source)).astype(np.int32)
  tgt = rng.integers(4, VOCAB, (4, target)).astype(np.int32)
  src[np.arange(source)[None] >= src_len[:, None]] = types.PAD
  tgt[np.arange(target)[None] >= tgt_len[:, None]] = types.PAD
  return types.Batch(src, src_len, tgt, tgt_len, np.arange(4, dtype=np.int32))


def encoder_fields(**changes) -> dict:
  """Of `encoders.Encoder`: one layer of three units forward, and changes."""
  return (
    dict(
      cell_args={},
      features=3,
      depth=1,
      direction="forward",
      stacking="joint",
      residual="none",
      residual_start=2,
      reduction="concat",
      reductions=0,
      dropout=layers.Dropout(),
    )
    | changes
  )


def made(**changes):
  """A small model and scattered weights."""
  small = dataclasses.replace(SMALL, **changes)
  model = build.build(small, VOCAB, VOCAB)
  init = jax.jit(lambda key: model.init(key, example(), method="initialize"))
  shapes = jax.eval_shape(init, jax.random.key(0))
  return model, scattered(shapes)
