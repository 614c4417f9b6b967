"""The formats that models are read from, each a module with a `read`.

Nothing heavy is imported here: a command's help lists them.
"""

import dataclasses
import importlib
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2seq_jax import types

if TYPE_CHECKING:
  from seq2seq_jax.interchange import imported

Path = pathlib.Path


@dataclasses.dataclass(frozen=True)
class Options:
  """What a command says beside format and path; None where it says nothing.

  A format lists those that it reads (`Format.options`).
  """

  config: Path | None = None
  """The model's settings, if they do not lie beside it."""
  checkpoint: str | None = None
  """Name of a file in the folder that the path names."""
  vocabulary: Path | None = None
  """Folder with the vocabularies."""
  source_vocab: Path | None = None
  """File of the source's vocabulary."""
  target_vocab: Path | None = None
  """File of the target's vocabulary."""
  part: str | None = None
  """What the model is to be, where a file can be several things."""


class Format(NamedTuple):
  """A format of models."""

  module: str
  """Below `seq2seq_jax.interchange`; it defines
  `read(path: pathlib.Path, options: formats.Options) -> imported.Imported`."""
  words: str
  """What it is, and what PATH names."""
  options: tuple[str, ...] = ()
  """Names of the `Options` that it reads."""


FORMATS = {
  "fairseq": Format(
    "fairseq",
    "an lstm of fairseq: a checkpoint, or its folder",
    ("checkpoint", "vocabulary", "source_vocab", "target_vocab"),
  ),
  "huggingface": Format(
    "huggingface",
    "a folder with BERT, RoBERTa, GPT-2, or an encoder-decoder of them",
    ("part", "vocabulary", "source_vocab", "target_vocab"),
  ),
  "joeynmt": Format(
    "joeynmt",
    "a recurrent model of JoeyNMT: its folder, or a checkpoint in it",
    ("checkpoint", "config", "source_vocab", "target_vocab"),
  ),
  "nematus": Format(
    "nematus",
    "an archive of Nematus, or of Marian's type nematus",
    ("config", "source_vocab", "target_vocab"),
  ),
  "g2p_en": Format(
    "g2p_en",
    "checkpoint20.npz of the package g2p-en, letters to phones",
  ),
  "npz": Format(
    "npz_format",
    "an archive of arrays named by our paths",
    ("config", "vocabulary"),
  ),
  "opennmt": Format("opennmt", "a recurrent model of OpenNMT-py: its file"),
  "seq2seq_jax": Format(
    "exported",
    "a folder that export wrote",
  ),
}


def flag(option: str) -> str:
  """The flag of an option."""
  return "--" + option.replace("_", "-")


def read(name: str, path: Path, options: Options) -> "imported.Imported":
  """The model that lies at a path in a format.

  Raises:
    types.UserError: it cannot be read, or has a part that ours cannot have.
  """
  if name not in FORMATS:
    raise types.UserError(f"format {name}: there are {', '.join(FORMATS)}")
  chosen = FORMATS[name]
  for field in dataclasses.fields(options):
    given = getattr(options, field.name) is not None
    if given and field.name not in chosen.options:
      flags = ", ".join(map(flag, chosen.options)) or "none"
      raise types.UserError(
        f"{flag(field.name)}: format {name} has no use for it; it reads {flags}"
      )
  types.check_local("PATH", path)
  if not path.exists():
    raise types.UserError(f"{path}: no such file or folder")
  reader: Any = importlib.import_module(f"{__package__}.{chosen.module}")
  model: imported.Imported = reader.read(path, options)
  return model
