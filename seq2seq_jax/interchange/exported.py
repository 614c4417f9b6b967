"""Format `seq2seq_jax`: a model of ours as a folder to hand on, both ways.

model.safetensors (arrays named by our paths), config.json, tokenizers/,
extensions/ where the config names files of the user's own, and README.md, the
model card.
"""

import dataclasses
import os
import pathlib
import shutil
import uuid
from collections.abc import Sequence

import flax.traverse_util
import jax

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import identity, select, store
from seq2seq_jax.data import vocabulary
from seq2seq_jax.inference import loading
from seq2seq_jax.interchange import (
  formats,
  imported,
  model_card,
  safetensors_files,
)


def read(path: pathlib.Path, options: formats.Options) -> imported.Imported:
  """The model in a folder that `write` wrote.

  Raises:
    types.UserError: it is none, or a file in it is damaged.
  """
  del options
  if not os.path.lexists(path / "config.json"):
    raise types.UserError(
      f"{path}: is no folder that export wrote (no config.json in it)"
    )
  conf = loading.read_config(path)
  vocabularies = vocabulary.load(
    conf.data, path / "tokenizers", conf.model.copies()
  )
  place = path / safetensors_files.FILE
  transfer = imported.Transfer(safetensors_files.read(place), place)
  for name in transfer.arrays:
    if not name.startswith("params/"):
      raise types.UserError(f"{place}: {name} is no path of a parameter")
    transfer.move(name, name.removeprefix("params/"))
  return transfer.result(conf, vocabularies)


def write(
  run: str,
  folder: pathlib.Path,
  *,
  checkpoint: str = "best",
  replica: int | None = None,
  scores: Sequence[pathlib.Path] = (),
  license_name: str = "unknown",
) -> list[str]:
  """Writes a run's model into a new folder; the names of what lies there.

  Args:
    run: its workdir, or DIR#REPLICA.
    folder: new or empty; written whole or not at all.
    checkpoint: last, best, average, or a step.
    replica: which of the run's `train.seeds`.
    scores: files of `evaluate --json`.
    license_name: of the model.

  Raises:
    types.UserError: the run cannot be loaded, or the folder not be written.
  """
  safetensors_files.library()
  check_place(folder)
  workdir, named = select.split_replica(run)
  replica = named if replica is None else replica
  conf = loading.read_config(workdir)
  vocabularies = vocabulary.load(
    conf.data, workdir / "tokenizers", conf.model.copies()
  )
  params, step = select.load(
    workdir, checkpoint, replica, identity.of(conf, vocabularies)
  )
  arrays = flax.traverse_util.flatten_dict(jax.device_get(params), sep="/")
  if conf.train.seeds > 1:
    train = dataclasses.replace(
      conf.train, seeds=1, seed=conf.train.seed + (replica or 0)
    )
    conf = dataclasses.replace(conf, train=train)
  card = model_card.card(
    folder.absolute().name,
    conf,
    vocabularies.sizes,
    sum(x.size for x in arrays.values()),
    model_card.history(workdir, step, _host(workdir, replica)),
    [model_card.read_scores(path) for path in scores],
    license_name,
  )
  target = folder.absolute()
  part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
  try:
    (part / "tokenizers").mkdir(parents=True)
    about = {"format": "seq2seq_jax", "step": str(step)}
    safetensors_files.write(part / safetensors_files.FILE, arrays, about)
    stored = config.extensions.copy(conf, part)
    (part / "config.json").write_text(config.to_json(stored))
    for name, content in vocabularies.files().items():
      (part / "tokenizers" / name).write_bytes(content)
    (part / "README.md").write_text(card, encoding="utf-8")
    part.rename(target)  # an empty folder may be there
  except OSError as e:
    raise types.UserError(f"{folder}: cannot write: {e.strerror or e}") from e
  finally:
    shutil.rmtree(part, ignore_errors=True)
  return sorted(os.listdir(folder))


def check_place(folder: pathlib.Path) -> None:
  """Refuses a place that is no new or empty folder.

  Raises:
    types.UserError: it is none.
  """
  types.check_local("--out", folder)
  try:
    if os.path.lexists(folder) and (not folder.is_dir() or os.listdir(folder)):
      raise types.UserError(
        f"--out {folder}: is there and not empty; choose a new folder"
      )
  except (OSError, ValueError) as e:
    reason = e.strerror if isinstance(e, OSError) else e
    raise types.UserError(f"--out {folder}: cannot be used: {reason}") from e


def _host(workdir: pathlib.Path, replica: int | None) -> dict[str, object]:
  """The decisions in the last checkpoint of a run, or of its replica."""
  checkpoints = store.Checkpoints(workdir, read_only=True)
  try:
    host = checkpoints.latest_host()
  finally:
    checkpoints.close()
  replicas = host.get("replicas")
  if isinstance(replicas, list):
    host = replicas[replica or 0]
  return host
