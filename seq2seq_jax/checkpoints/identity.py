"""What a checkpoint belongs to: a config, two tokenizers, and shapes.

It is stored in the checkpoint, so that one that was copied from another run,
other tokenizers beside it, or a config.json that was changed are seen before
any parameter is used.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from seq2seq_jax import config, types
from seq2seq_jax.data import vocabulary


@dataclasses.dataclass(frozen=True)
class Identity:
  """A config, checksums of both tokenizers, and the shapes of parameters."""

  config: dict[str, Any]
  """Value of each field that may not change, by its dotted name. Only fields
  that both sides know are compared: a later version may have others, and other
  defaults."""
  source: str
  target: str
  shapes: dict[str, list[int]] | None = None
  """By path; None where they are not known."""


def of(
  conf: config.Config,
  vocabularies: vocabulary.Vocabularies,
  params: Any = None,
) -> Identity:
  """The identity of a run, with its parameters' shapes if they are given."""
  portable = config.extensions.portable(conf)
  fields = {
    name: value
    for name, value, field in config.leaves(portable)
    if not field.metadata.get("mutable_on_resume") and name != "train.steps"
  }
  return Identity(
    config=json.loads(json.dumps(fields)),  # as it is when it is read again
    source=_checksum(vocabularies.source.dump()),
    target=_checksum(vocabularies.target.dump()),
    shapes=None if params is None else shapes(params),
  )


def shapes(params: Any) -> dict[str, list[int]]:
  """The shape of each array of a tree, by its path."""
  leaves = jax.tree_util.tree_flatten_with_path(params)[0]
  return {
    jax.tree_util.keystr(path, simple=True, separator="/"): list(x.shape)
    for path, x in leaves
  }


def _checksum(content: bytes) -> str:
  return hashlib.sha256(content).hexdigest()


def check(stored: Identity, here: Identity, checkpoint: pathlib.Path) -> None:
  """Refuses a checkpoint that belongs to something else.

  Args:
    stored: with the checkpoint.
    here: of the workdir that it lies in.
    checkpoint: its folder, `WORKDIR/checkpoints/STEP`.

  Raises:
    types.UserError: it names the file that does not belong to it.
  """
  workdir = checkpoint.parent.parent
  folder = workdir / "tokenizers"
  for name in sorted(stored.config.keys() & here.config.keys()):
    was, now = stored.config[name], here.config[name]
    if was != now:
      raise types.UserError(
        f"{workdir / 'config.json'}: is not the config that checkpoint "
        f"{checkpoint} was trained with: {name} was {was!r} and is {now!r}; "
        "restore the one, or take away the other"
      )
  sides = (stored.source, stored.target)
  if sides != (here.source, here.target):
    if sides == (here.target, here.source):
      raise types.UserError(
        f"{folder}: source.json and target.json are swapped; swap them back"
      )
    joint = here.source == here.target
    wrong = "source" if stored.source != here.source and not joint else "target"
    raise types.UserError(
      f"{folder / wrong}.json: is not the tokenizer that checkpoint "
      f"{checkpoint} was trained with; restore it"
    )
  if stored.shapes is not None and here.shapes is not None:
    _check_shapes(stored.shapes, here.shapes, checkpoint)


def _check_shapes(
  stored: Mapping[str, list[int]],
  here: Mapping[str, list[int]],
  checkpoint: pathlib.Path,
) -> None:
  for name in {**stored, **here}:
    if stored.get(name) != here.get(name):
      was, now = stored.get(name, "absent"), here.get(name, "absent")
      raise types.UserError(
        f"checkpoint {checkpoint}: the shape of {name} is {was}, but this "
        f"version of the program makes it {now}; use the version that wrote it"
      )
