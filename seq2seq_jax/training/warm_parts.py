"""Starting from other models: `train.init_from` and `train.init_parts`.

Encoder and decoder of a model may begin as two language models (Ramachandran et
al. 2017, section 2.1): parameters of another name, and rows of words that both
vocabularies hold.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any

import flax.traverse_util
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.data import vocabulary
from seq2seq_jax.inference import loading
from seq2seq_jax.models import seq2seq
from seq2seq_jax.training import warm_start

log = logging.getLogger(__name__)

_FIELD = "train.init_parts"
# Its rows are those of the state, then the context's, then the embedding's.
_READOUT = "params/decoder/readout_layer/kernel"


def merged(
  params: Any, section: config.Train, vocabularies: vocabulary.Vocabularies
) -> Any:
  """`params` with what `init_from` and `init_parts` take of other models.

  Args:
    params: freshly initialised, NumPy's arrays.
    section: of the run's config.
    vocabularies: of the run.

  Raises:
    types.UserError: another model cannot be read, or nothing of it fits.
  """
  source = section.init_from
  if source:
    params = warm_start.merge(
      params,
      warm_start.load_params(source),
      warm_start.params_of_other_words(source, vocabularies),
      place=source,
    )
  for part in section.init_parts:
    params = take(params, part, vocabularies)
  return params


def take(params: Any, part: str, vocabularies: vocabulary.Vocabularies) -> Any:
  """`params` with one part's values of another model.

  Args:
    params: of this run, with NumPy's arrays.
    part: `OURS=DIR:THEIRS`, see `config.Train.init_parts`.
    vocabularies: of this run.

  Raises:
    types.UserError: the other model cannot be read, or nothing of it fits.
  """
  pattern, _, place = part.partition("=")
  source, _, template = place.rpartition(":")
  merged = flax.traverse_util.flatten_dict(params, sep="/")
  stored = flax.traverse_util.flatten_dict(
    warm_start.load_params(source, _FIELD), sep="/"
  )
  other = _vocabularies(source)
  taken, left = [], []
  for name, value in merged.items():
    theirs = _their_name(name, pattern, template, part)
    if theirs is None:
      continue
    found = stored.get(theirs)
    if found is None:
      left.append(f"{name}: {theirs} is not there")
      continue
    result = _fitted(name, theirs, value, found, vocabularies, other)
    if isinstance(result, str):
      left.append(f"{name}: {result}")
      continue
    merged[name], how = result
    taken.append(f"{name} from {theirs}{how}")
  if not taken:
    raise types.UserError(
      f"{_FIELD}: {part}: takes nothing"
      + (f"; {left[0]}" if left else ": no parameter's path begins so")
    )
  log.info(f"init_parts: {source}: took {', '.join(taken)}")
  if left:
    log.info(f"init_parts: {source}: left as initialised: {', '.join(left)}")
  return flax.traverse_util.unflatten_dict(merged, sep="/")


def _their_name(
  name: str, pattern: str, template: str, part: str
) -> str | None:
  """The other model's name of a parameter of ours; None if it is not meant.

  Raises:
    types.UserError: the template names a group that the pattern lacks.
  """
  path = name.removeprefix("params/")
  match = re.match(pattern, path)
  rest = path[match.end() :] if match else ""
  if match is None or (rest and not rest.startswith("/")):
    return None
  try:
    return f"params/{match.expand(template)}{rest}"
  except (re.error, IndexError) as e:
    raise types.UserError(f"{_FIELD}: {part}: {e}") from e


def _vocabularies(source: str) -> vocabulary.Vocabularies | None:
  """Those of a workdir; None of a file of arrays."""
  workdir, _ = select.split_replica(source)
  if not workdir.is_dir():
    return None
  conf = loading.read_config(workdir)
  return vocabulary.load(conf.data, workdir / "tokenizers", conf.model.copies())


def _fitted(
  name: str,
  theirs: str,
  value: np.ndarray,
  found: np.ndarray,
  vocabularies: vocabulary.Vocabularies,
  other: vocabulary.Vocabularies | None,
) -> tuple[np.ndarray, str] | str:
  """The new value and how it was made, or why there is none."""
  sides = seq2seq.VOCABULARY_PARAMS
  if name in sides and theirs in sides and other is not None:
    ours = _pieces(vocabularies, sides[name])
    words = _pieces(other, sides[theirs])
    if ours is not None and words is not None and ours != words:
      return _shared_rows(name, value, found, ours, words)
  if value.shape == found.shape:
    return np.asarray(found, value.dtype), ""
  if name == _READOUT and value.shape[1:] == found.shape[1:]:
    rows = min(len(value), len(found))
    value = value.copy()
    value[:rows] = found[:rows]
    return value, f" ({rows} of {len(value)} rows)"
  return f"{theirs} has the shape {found.shape}, not {value.shape}"


def _pieces(
  vocabularies: vocabulary.Vocabularies, side: str
) -> Sequence[str] | None:
  """The words of a side; None if it has none."""
  chosen: Any = vocabularies.source if side == "source" else vocabularies.target
  tokenizer = getattr(chosen, "tokenizer", None)
  return None if tokenizer is None else tokenizer.pieces


def _shared_rows(
  name: str,
  value: np.ndarray,
  found: np.ndarray,
  ours: Sequence[str],
  theirs: Sequence[str],
) -> tuple[np.ndarray, str] | str:
  """Rows (of kernels: columns) of the words that both vocabularies hold."""
  axis = 1 if name.endswith("/kernel") else 0
  # Specials have fixed ids; a word that is spelled like one is another word.
  first = len(types.SPECIALS)
  at = {word: i for i, word in enumerate(theirs) if i >= first}
  pairs = [(i, i) for i in range(first)]
  pairs += [(i, at[w]) for i, w in enumerate(ours) if i >= first and w in at]
  to, of = (list(ids) for ids in zip(*pairs))
  result = np.moveaxis(value.copy(), axis, 0)
  rows = np.moveaxis(found, axis, 0)
  if result.shape[1:] != rows.shape[1:]:
    return f"rows of width {rows.shape[1:]}, not {result.shape[1:]}"
  result[to] = rows[of]
  done = np.ascontiguousarray(np.moveaxis(result, 0, axis))
  return done, f" ({len(pairs)} of {len(ours)} words)"
