"""How a field of a config is declared and checked."""

import dataclasses

from seq2seq_jax import types


def free(default):
  """A field that may change when a run is resumed."""
  return dataclasses.field(default=default, metadata={"free": True})


def check(ok: bool, field: str, why: str):
  """Refuses a value, with the field's name and the reason."""
  if not ok:
    raise types.UserError(f"{field}: {why}")
