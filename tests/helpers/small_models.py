"""Small models of many kinds, with every leaf drawn."""

import jax
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.models import build, layers
from tests.helpers.numeric import scattered

VOCAB = 11
SMALL = config.Model(
  embed_dim=5,
  encoder=config.Encoder(dim=3),
  decoder=config.Decoder(
    dim=6,
    context_length=4,
  ),
  attention=config.Attention(dim=4),
  readout=config.Readout(dim=7),
)

CONFIGS = {
  "luong": {},
  "luong_without_feeding": {"decoder.input_feeding": False},
  "luong_dot": {"attention.score": "dot", "decoder.bridge": "zero"},
  "luong_linear": {"attention.score": "dot", "readout.kind": "linear"},
  "deep_dot": {
    "attention.score": "dot",
    "decoder.input_feeding": False,
    "encoder.layers": 2,
    "decoder.layers": 2,
    "decoder.bridge": "last",
  },
  "deep_feeding_gru": {
    "encoder.cell": "gru",
    "decoder.layers": 3,
    "encoder.layers": 2,
    "encoder.stacking": "separate",
  },
  "bahdanau": {
    "encoder.cell": "gru",
    "attention.score": "additive",
    "decoder.placement": "bahdanau",
    "decoder.input_feeding": False,
    "decoder.bridge": "mean",
  },
  "bahdanau_feeding": {
    "attention.score": "additive",
    "decoder.placement": "bahdanau",
    "decoder.layers": 2,
  },
  "general_before": {
    "decoder.placement": "bahdanau",
    "decoder.input_feeding": False,
  },
  "additive_after": {
    "encoder.cell": "gru",
    "attention.score": "additive",
    "decoder.input_feeding": False,
    "decoder.layers": 2,
  },
  "none_start": {"attention.score": "none", "decoder.input_feeding": False},
  "none_feeding_gru": {"attention.score": "none", "encoder.cell": "gru"},
  "none_every_step": {
    "attention.score": "none",
    "decoder.context_at": "every_step",
    "decoder.bridge": "zero",
    "decoder.input_feeding": False,
  },
  "none_both_feeding": {
    "attention.score": "none",
    "decoder.context_at": "both",
  },
  "none_all_start": {
    "attention.score": "none",
    "decoder.context": "all",
    "decoder.input_feeding": False,
  },
  "none_all_both": {
    "attention.score": "none",
    "decoder.context": "all",
    "decoder.context_at": "both",
    "readout.kind": "linear",
    "encoder.cell": "gru",
    "encoder.direction": "forward",
    "decoder.layers": 2,
  },
  "tie_decoder": {"tie": "decoder", "readout.dim": 5},
  "tie_decoder_projected": {"tie": "decoder", "decoder.input_feeding": False},
  "tie_all": {
    "tie": "all",
    "attention.score": "additive",
    "init.weights": "uniform",
  },
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
  small = config.replace(SMALL, changes)
  model = build.build(small, VOCAB, VOCAB)
  init = jax.jit(lambda key: model.init(key, example(), method="initialize"))
  shapes = jax.eval_shape(init, jax.random.key(0))
  return model, scattered(shapes)
