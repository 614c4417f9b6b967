"""A run of the language of tones, as small as can be."""

from seq2seq_jax import config
from tests.helpers.tiny_runs import small

RATE, BINS = 8000, 8


def conf() -> config.Config:
  """A model of a few thousand parameters and updates that teach it nothing."""
  return config.replace(
    small({"steps": 2, "validate_every": 2, "average": 0}),
    {
      "data.task": "tones",
      "data.audio.rate": RATE,
      "data.audio.bins": BINS,
      "data.synthetic.train": 32,
      "data.synthetic.valid": 8,
      "data.synthetic.test": 8,
      "data.synthetic.max_length": 3,
      "model.encoder.features": BINS,
      "model.encoder.front_end": "convolution",
      "model.encoder.front_end_channels": 4,
      "model.encoder.cell": "gru",
      "train.metric": "loss",
      "decode.length_step": 128,
      "decode.max_ratio": 0.1,
      "decode.max_extra": 4,
      "decode.min_length": 3,
      "decode.batch_rows": 8,
    },
  )
