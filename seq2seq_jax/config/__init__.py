"""The schema of an experiment: nested frozen dataclasses.

`configs/x.py` defines `get_config() -> Config`; every field can be overridden
on the command line by its dotted name. A field made by `fields.free` may change
when a run is resumed; any other one belongs to the run and is refused.
"""

from seq2seq_jax.config.data import Data, Synthetic, Text
from seq2seq_jax.config.decode import Decode
from seq2seq_jax.config.experiment import Config
from seq2seq_jax.config.files import (
  FORMAT_VERSION,
  differences,
  from_json,
  leaves,
  load,
  returned_by,
  to_json,
)
from seq2seq_jax.config.model import CELLS, SCORES, Model
from seq2seq_jax.config.optim import Optim
from seq2seq_jax.config.train import Train

__all__ = [
  "CELLS",
  "FORMAT_VERSION",
  "SCORES",
  "Config",
  "Data",
  "Decode",
  "Model",
  "Optim",
  "Synthetic",
  "Text",
  "Train",
  "differences",
  "from_json",
  "leaves",
  "load",
  "returned_by",
  "to_json",
]
