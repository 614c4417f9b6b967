"""An imported model as a workdir, checked before anything is written.

It is one of an ordinary run whose single update was never made: `decode`,
`evaluate`, `train.init_from` and ensembles take it.
"""

import dataclasses
import fnmatch
import logging
import pathlib
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import identity, store
from seq2seq_jax.data import batches
from seq2seq_jax.interchange import imported as imported_lib
from seq2seq_jax.training import (
  model_selection,
  optim,
  run,
  run_info,
  size_estimate,
  start,
)
from seq2seq_jax.training import workdir as workdir_lib

log = logging.getLogger(__name__)

STEP = 1  # of the checkpoint: a workdir has none of step 0
_SHOWN = 5  # names in a message


def check_place(workdir: pathlib.Path) -> None:
  """Refuses a folder that exists and holds something.

  Raises:
    types.UserError: it does, or cannot be a workdir.
  """
  types.check_local("--workdir", workdir)
  workdir_lib.check(workdir)
  if workdir.exists() and any(workdir.iterdir()):
    raise types.UserError(
      f"{workdir}: is there and not empty; choose a new folder as workdir"
    )


def checked(
  imported: imported_lib.Imported, place: str
) -> tuple[imported_lib.Imported, list[str]]:
  """The model with all its parameters, and the paths of those made anew.

  Args:
    imported: as a format gives it.
    place: what it was read from, for messages.

  Raises:
    types.UserError: a parameter is missing, of another shape or not finite, or
      something of the source was left over.
  """
  conf, vocabularies = imported.config, imported.vocabularies
  vocabularies.check_features(conf.model.encoder.features)
  size_estimate.check(conf, vocabularies.sizes)
  model = start.build_model(conf, vocabularies)
  example = batches.filler(vocabularies, rows=2, source=4, target=3)

  def init() -> Any:
    return model.init(jax.random.key(0), example, method="initialize")

  shapes = identity.shapes(jax.eval_shape(init))
  found = flax.traverse_util.flatten_dict(imported.params, sep="/")
  fresh = [n for n in shapes if n not in found and _matches(n, imported.fresh)]
  _check_shapes(shapes, found, fresh, place)
  if imported.unused:
    raise types.UserError(
      f"{place}: has what this model has no use for: {_some(imported.unused)}"
    )
  for name, value in found.items():
    if not np.isfinite(value).all():
      raise types.UserError(f"{place}: values of {name} are not finite")
  if fresh:
    initial = flax.traverse_util.flatten_dict(
      jax.device_get(start.initial_params(model, conf.train.seed, example)),
      sep="/",
    )
    found |= {name: initial[name] for name in fresh}
  tree = flax.traverse_util.unflatten_dict(
    {name: found[name] for name in shapes}, sep="/"
  )
  return dataclasses.replace(imported, params=tree), fresh


def _matches(name: str, patterns: Iterable[str]) -> bool:
  return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _check_shapes(
  shapes: Mapping[str, list[int]],
  found: Mapping[str, np.ndarray],
  fresh: Iterable[str],
  place: str,
) -> None:
  """Checks that the parameters found are those that a model has."""
  if missing := [n for n in shapes if n not in found and n not in fresh]:
    raise types.UserError(f"{place}: nothing in it is {_some(missing)}")
  if unknown := [name for name in found if name not in shapes]:
    raise types.UserError(
      f"{place}: the model of its config has no parameter {_some(unknown)}"
    )
  for name, shape in shapes.items():
    if name in found and list(found[name].shape) != shape:
      raise types.UserError(
        f"{place}: {name} has the shape {list(found[name].shape)}, but the "
        f"model of its config makes it {shape}"
      )


def _some(names: Iterable[str]) -> str:
  """A few of several names, in words."""
  names = list(names)
  more = len(names) - _SHOWN
  shown = ", ".join(names[:_SHOWN])
  return shown + (f" and {more} more" if more > 0 else "")


def report(
  imported: imported_lib.Imported, fresh: Iterable[str] = ()
) -> Iterator[str]:
  """Lines that say what went where."""
  params = flax.traverse_util.flatten_dict(imported.params, sep="/")
  for sources, path, how in imported.moves:
    given = " + ".join(sources) or "-"
    shape = ", ".join(map(str, params[path].shape))
    yield f"{given} -> {path} [{shape}]" + (f" ({how})" if how else "")
  for name, why in imported.ignored.items():
    yield f"{name}: not used: {why}"
  for name in fresh:
    yield f"{name}: not in the source, initialised anew"
  yield from (f"note: {note}" for note in imported.notes)


def summary(imported: imported_lib.Imported) -> str:
  """What kind of model it is, in a few words."""
  count = sum(x.size for x in jax.tree.leaves(imported.params))
  source, target = imported.vocabularies.sizes
  words = f"{target:,} target words"
  if source:
    words = f"{source:,} source and {words}"
  return f"{count:,} parameters, {words}"


def write(imported: imported_lib.Imported, workdir: pathlib.Path) -> None:
  """Writes a checked model as a workdir, whole or not at all.

  Raises:
    types.UserError: it cannot be written.
  """
  check_place(workdir)
  target = workdir.absolute()
  part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
  try:
    part.mkdir(parents=True)
    _write(imported, part)
    part.rename(target)  # an empty folder may be there
  except OSError as e:
    raise types.UserError(f"{workdir}: cannot write: {e.strerror or e}") from e
  finally:
    shutil.rmtree(part, ignore_errors=True)


def _write(imported: imported_lib.Imported, folder: pathlib.Path) -> None:
  conf, vocabularies = imported.config, imported.vocabularies
  run_info.write(folder, conf, run_info.machine(), {})
  (folder / "tokenizers").mkdir()
  for name, content in vocabularies.files().items():
    (folder / "tokenizers" / name).write_bytes(content)
  conf = config.from_json(
    (folder / "config.json").read_bytes(), str(folder / "config.json")
  )
  params = jax.tree.map(jnp.asarray, imported.params)
  example = batches.filler(vocabularies, rows=2, source=4, target=3)
  state = start.fresh_state(
    conf,
    start.build_model(conf, vocabularies),
    optim.optimizer(conf.optim),
    params,
    example,
    params,
  )._replace(step=jnp.int32(STEP))
  selection = model_selection.ModelSelection(run.selection_rules(conf))
  selection.record_unscored(STEP)
  host = model_selection.to_json([selection]) | {
    "identity": dataclasses.asdict(identity.of(conf, vocabularies, params))
  }
  checkpoints = store.Checkpoints(folder, anew=True)
  try:
    checkpoints.save(STEP, state._asdict(), host, set())
  finally:
    checkpoints.close()
  run_info.note_saved(folder)
