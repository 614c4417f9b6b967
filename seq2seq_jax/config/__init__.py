"""The schema of an experiment: nested frozen dataclasses.

`configs/x.py` defines `get_config() -> Config`; every field can be overridden
on the command line by its dotted name. A field of `fields.mutable_on_resume`
may change when a run is resumed; any other one belongs to the run, except
`train.steps` under schedules that do not depend on it.
"""

from seq2seq_jax.config import extensions
from seq2seq_jax.config.attention import SCORES, Attention
from seq2seq_jax.config.audio import Audio
from seq2seq_jax.config.data import Data, Synthetic, Text
from seq2seq_jax.config.decode import Decode
from seq2seq_jax.config.decoder import PLACEMENTS, Decoder, Readout
from seq2seq_jax.config.encoder import CELLS, Encoder
from seq2seq_jax.config.experiment import Config
from seq2seq_jax.config.files import (
  FORMAT_VERSION,
  check_is_file,
  differences,
  from_json,
  load,
  returned_by,
  to_json,
)
from seq2seq_jax.config.model import Dropout, Init, Model
from seq2seq_jax.config.optim import OBJECTIVES, Optim
from seq2seq_jax.config.paths import leaves, replace
from seq2seq_jax.config.train import Train
from seq2seq_jax.config.transformer import Transformer

__all__ = [
  "CELLS",
  "FORMAT_VERSION",
  "OBJECTIVES",
  "PLACEMENTS",
  "SCORES",
  "Attention",
  "Audio",
  "Config",
  "Data",
  "Decode",
  "Decoder",
  "Dropout",
  "Encoder",
  "Init",
  "Model",
  "Optim",
  "Readout",
  "Synthetic",
  "Text",
  "Train",
  "Transformer",
  "check_is_file",
  "differences",
  "extensions",
  "from_json",
  "leaves",
  "load",
  "replace",
  "returned_by",
  "to_json",
]
