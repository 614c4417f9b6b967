"""Starting from the parameters of another run: `train.init_from`.

Parameters are merged by name; what is taken and what is left is reported.
"""

import logging
from collections.abc import Set
from typing import Any

import flax.traverse_util
import numpy as np

from seq2seq_jax import archives, types
from seq2seq_jax.checkpoints import identity, select
from seq2seq_jax.data import vocabulary
from seq2seq_jax.inference import loading
from seq2seq_jax.models import seq2seq

log = logging.getLogger(__name__)


def load_params(source: str, field: str = "train.init_from") -> Any:
  """Parameters of a workdir's best checkpoint, or of an `.npz` file.

  Args:
    source: a workdir, `DIR#REPLICA` of one with several seeds, or a file of
      arrays named by path, `params/decoder/layer_0/kernel`.
    field: that names it, for messages.

  Raises:
    types.UserError: there is no such workdir or whole file.
  """
  path, replica = select.split_replica(source)
  if path.is_dir():
    conf = loading.read_config(path)
    words = vocabulary.load(conf.data, path / "tokenizers", conf.model.copies())
    here = identity.of(conf, words)
    return select.load(path, "best", replica, here)[0]
  if not path.exists():
    raise types.UserError(f"{field}: {path}: no such workdir or file")
  try:
    return flax.traverse_util.unflatten_dict(archives.read(path), sep="/")
  except (types.UserError, TypeError) as e:  # TypeError: a/b beside a
    raise types.UserError(
      f"{field}: neither a workdir nor a file of named arrays: {e}"
    ) from e


def params_of_other_words(
  source: str, vocabularies: vocabulary.Vocabularies
) -> frozenset[str]:
  """Names of parameters whose rows stand for other words in `source`.

  Args:
    source: see `load_params`; a file is taken to have this run's vocabularies.
    vocabularies: of the run that is started.
  """
  workdir, _ = select.split_replica(source)
  if not workdir.is_dir():
    return frozenset()
  data = loading.read_config(workdir).data
  old = vocabulary.load(data, workdir / "tokenizers")
  changed = set()
  if vocabularies.source.checksum() != old.source.checksum():
    changed.add("source")
  if vocabularies.target.checksum() != old.target.checksum():
    changed.add("target")
  return frozenset(
    name for name, side in seq2seq.VOCABULARY_PARAMS.items() if side in changed
  )


def merge(
  params: Any,
  other: Any,
  other_words: Set[str] = frozenset(),
  place: str = "the other run",
) -> Any:
  """`params` with the values of `other` where names and shapes agree.

  Args:
    params: freshly initialised parameters.
    other: parameters of another run.
    other_words: names that are left as initialised, since their rows stand
      for other words in `other`.
    place: where `other` comes from, for messages.

  Raises:
    types.UserError: no parameter fits, or one is not floating.
  """
  merged = flax.traverse_util.flatten_dict(params, sep="/")
  stored = flax.traverse_util.flatten_dict(other, sep="/")
  taken, shapes, missing, words = [], [], [], []
  for name, value in merged.items():
    if name not in stored:
      missing.append(name)
    elif name in other_words:
      words.append(name)
    elif not np.issubdtype(stored[name].dtype, np.floating):
      raise types.UserError(
        f"train.init_from: {name} holds {stored[name].dtype}; parameters are "
        "floating-point numbers"
      )
    elif stored[name].shape == value.shape:
      taken.append(name)
    else:
      shapes.append(f"{name} {stored[name].shape} -> {value.shape}")
  if not taken:
    raise types.UserError(
      f"train.init_from: {place}: no parameter has the name and shape of one "
      f"of this model; the names there are {', '.join(sorted(stored))[:1000]}"
    )
  log.info(f"init_from: took {len(taken)} of {len(merged)}: {', '.join(taken)}")
  for reason, names in (
    ("rows of another vocabulary, left as initialised", words),
    ("other shape, left as initialised", shapes),
    ("not there, left as initialised", missing),
    ("there but not used", sorted(set(stored) - set(merged))),
  ):
    if names:
      log.info(f"init_from: {reason}: {', '.join(names)}")
  for name in taken:
    merged[name] = np.asarray(stored[name], merged[name].dtype)
  return flax.traverse_util.unflatten_dict(merged, sep="/")
