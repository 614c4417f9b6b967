"""A run of the language of tones, as small as can be."""

from typing import Any

from seq2seq_jax import config
from tests.helpers.tiny_runs import changed, small

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


def convolution(train, **changes) -> config.Config:
  """A recogniser with a front end of convolutions; `small`'s arguments."""
  front_end = {
    "model.encoder.front_end": "convolution",
    "model.encoder.front_end_channels": 2,
  }
  return changed(_recogniser(front_end), train=train, **changes)


def pyramid(train, **changes) -> config.Config:
  """A recogniser whose upper layer reads pairs; `small`'s arguments."""
  layers = {"model.encoder.layers": 2, "model.encoder.reductions": 1}
  return changed(_recogniser(layers), train=train, **changes)


def _recogniser(encoder: dict[str, Any]) -> config.Config:
  """All that speech adds to training and to validation.

  Location-aware attention, CTC, SpecAugment, two speeds, dropout, and search by
  attention and CTC. The last batch of an epoch is not full.
  """
  return config.replace(
    small({"metric": "wer", "average": 0, "patience": 0}),
    {
      "data.task": "tones",
      "data.audio.rate": RATE,
      "data.audio.bins": BINS,
      "data.audio.shift_ms": 20.0,
      "data.audio.frequency_masks": 1,
      "data.audio.frequency_width": 3,
      "data.audio.time_masks": 1,
      "data.audio.time_width": 10,
      "data.audio.speeds": ("0.9", "1.0"),
      "data.synthetic.train": 21,
      "data.synthetic.valid": 6,
      "data.synthetic.test": 8,
      "data.synthetic.max_length": 3,
      "model.attention.score": "location_aware",
      "model.encoder.features": BINS,
      "model.encoder.cell": "gru",
      "model.encoder.dim": 8,
      "model.decoder.cell": "gru",
      "model.decoder.dim": 16,
      **encoder,
      "optim.objectives": ("likelihood=0.5", "ctc=0.5"),
      "decode.ctc_weight": 0.3,
      "decode.length_step": 128,
      "decode.max_ratio": 0.1,
      "decode.max_extra": 4,
      "decode.batch_rows": 8,
    },
  )


# Of text and of speech; each takes fields of `train`, and of other sections.
SMALL = {"text": small, "convolution": convolution, "pyramid": pyramid}
