"""What each layer promises: Protocols, in the shape letters of `types.py`."""

from seq2seq_jax.contracts.model import Decoder, Encoder, Head, Score
from seq2seq_jax.contracts.side import Side
from seq2seq_jax.contracts.steps import Objective, StepFn

__all__ = [
  "Decoder",
  "Encoder",
  "Head",
  "Objective",
  "Score",
  "Side",
  "StepFn",
]
