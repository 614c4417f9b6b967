"""Parameters from another place: a workdir's checkpoint, or several."""

import logging
import pathlib
import zipfile

import flax.traverse_util
import jax
import numpy as np

from seq2seq_jax import types
from seq2seq_jax.checkpoints import store as checkpoint_store

log = logging.getLogger(__name__)


def load(workdir: pathlib.Path, which: str, replica: int | None = None):
  """(params, step) of a workdir, as NumPy arrays; averaged ones where kept.

  Args:
    workdir: folder of a run.
    which: last, best, average, or a step.
    replica: which of several runs in one program.
  """
  store = checkpoint_store.Checkpoints(workdir, read_only=True)
  try:
    steps = store.steps()
    if not steps:
      raise types.UserError(
        f"{workdir}: holds no checkpoint yet; train further first"
      )
    host = store.latest_host()
    replicas = host.get("replicas")
    if replicas:
      host = _replica_of(workdir, replicas, replica)
    elif replica:
      raise types.UserError(
        f"--replica {replica}: {workdir} holds one run, replica 0"
      )
    chosen = choose(workdir, which, steps, host)
    trees = [store.read(s) for s in chosen]
    if replicas:
      trees = [jax.tree.map(lambda x: x[replica], tree) for tree in trees]
  finally:
    store.close()
  if len(trees) == 1:
    return trees[0], chosen[0]
  log.info(f"average of the checkpoints {', '.join(map(str, chosen))}")
  mean = lambda *xs: np.mean(np.stack(xs), axis=0, dtype=np.float64).astype(
    xs[0].dtype
  )
  return jax.tree.map(mean, *trees), chosen[-1]


def diverged(workdir: pathlib.Path) -> set[int]:
  """Replicas of a run whose loss was not finite."""
  store = checkpoint_store.Checkpoints(workdir, read_only=True)
  try:
    steps = store.steps()
    replicas = store.latest_host().get("replicas", []) if steps else []
  finally:
    store.close()
  return {n for n, host in enumerate(replicas) if host["diverged"] is not None}


def _replica_of(workdir, replicas: list[dict], replica: int | None) -> dict:
  if replica is None or not 0 <= replica < len(replicas):
    raise types.UserError(
      f"{workdir}: holds {len(replicas)} runs; choose one with --replica 0 to "
      f"{len(replicas) - 1} (train.init_from: {workdir}#0 and so on)"
    )
  return replicas[replica]


def load_any(place: str):
  """Parameters of a workdir's best checkpoint, or of an `.npz` file.

  A file's arrays are named by path, `params/decoder/layer_0/kernel`. Of a
  workdir with several seeds, `DIR#REPLICA` is one.
  """
  path, replica = place_of(place)
  if path.is_dir():
    return load(path, "best", replica)[0]
  try:
    with path.open("rb") as f, np.load(f) as stored:
      flat = {name: stored[name] for name in stored.files}
  except FileNotFoundError as e:
    raise types.UserError(
      f"train.init_from: {path}: no such workdir or file"
    ) from e
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
    raise types.UserError(
      f"train.init_from: {path}: neither a workdir nor a whole .npz file of "
      f"named arrays ({e})"
    ) from e
  return flax.traverse_util.unflatten_dict(flat, sep="/")


def place_of(place: str) -> tuple[pathlib.Path, int | None]:
  """Path and replica of `DIR#REPLICA`, or a path alone."""
  name, mark, replica = place.rpartition("#")
  if mark and replica.isdigit() and not pathlib.Path(place).exists():
    return pathlib.Path(name), int(replica)
  return pathlib.Path(place), None


def choose(workdir, which: str, steps: list[int], host: dict) -> list[int]:
  """The steps that `last`, `best`, `average` or a number means."""
  if which == "last":
    return [steps[-1]]
  if which == "best":
    best = host.get("best_step")
    if best is None:  # there was nothing to validate on
      return [steps[-1]]
    if best not in steps:
      raise types.UserError(
        f"{workdir}: the best checkpoint, of step {best}, is not there (see "
        "train.keep_best); give --checkpoint last, or one of the steps "
        f"{', '.join(map(str, steps))}"
      )
    return [best]
  if which == "average":
    chosen = [s for s in host.get("averaged", []) if s in steps]
    if not chosen:
      raise types.UserError(
        f"{workdir}: no checkpoints to average; train with --train.average N"
      )
    return chosen
  if which.isdigit() and int(which) in steps:
    return [int(which)]
  raise types.UserError(
    f"--checkpoint {which}: {workdir} has last, best, average and the steps "
    f"{', '.join(map(str, steps))}"
  )


def merge(params, other, foreign=frozenset()):
  """Starts from `other` where names and shapes agree, and reports all.

  Args:
    params: freshly initialised parameters.
    other: parameters of another run.
    foreign: names whose rows stand for other words there.
  """
  own = flax.traverse_util.flatten_dict(params, sep="/")
  theirs = flax.traverse_util.flatten_dict(other, sep="/")
  taken, shapes, missing, words = [], [], [], []
  for name, value in own.items():
    if name not in theirs:
      missing.append(name)
    elif name in foreign:
      words.append(name)
    elif not np.issubdtype(theirs[name].dtype, np.floating):
      raise types.UserError(
        f"train.init_from: {name} holds {theirs[name].dtype}, not numbers with "
        "a fraction; parameters are floating"
      )
    elif theirs[name].shape == value.shape:
      taken.append(name)
    else:
      shapes.append(f"{name} {theirs[name].shape} -> {value.shape}")
  unused = sorted(set(theirs) - set(own))
  if not taken:
    raise types.UserError(
      "train.init_from: no parameter has the name and shape of one here; "
      f"there: {', '.join(sorted(theirs))}"
    )
  log.info(f"init_from: took {len(taken)} of {len(own)}: {', '.join(taken)}")
  for what, names in (
    ("of another vocabulary, left as initialised", words),
    ("other shape, left as initialised", shapes),
    ("not there, left as initialised", missing),
    ("there but not used", unused),
  ):
    if names:
      log.info(f"init_from: {what}: {', '.join(names)}")
  for name in taken:
    own[name] = np.asarray(theirs[name], own[name].dtype)
  return flax.traverse_util.unflatten_dict(own, sep="/")
