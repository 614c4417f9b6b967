"""Options in the files of other toolkits: sections, and objects' attributes."""

from collections.abc import Mapping
from typing import Any

from seq2seq_jax.interchange import torch_files


def fields(value: Any) -> Mapping[str, Any]:
  """The entries of a dict, or the attributes of an object that was read.

  Empty for anything else: an argparse.Namespace has attributes, None has none.
  """
  if isinstance(value, torch_files.Record):
    value = value.entries or value.state
  return value if isinstance(value, dict) else {}


def section(settings: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
  """A section of a section of settings; empty where there is none."""
  for name in names:
    settings = fields(settings.get(name))
  return settings
