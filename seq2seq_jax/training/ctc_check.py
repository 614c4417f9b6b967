"""Training examples that CTC cannot learn from, known before the first step."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import types
from seq2seq_jax.data import batches, vocabulary
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.models import seq2seq


def unaligned(
  model: seq2seq.Seq2Seq,
  corpus: corpus_lib.Corpus,
  vocabularies: vocabulary.Vocabularies,
  indices: np.ndarray,
  lengths: np.ndarray,
) -> list[int]:
  """Indices of the examples with more labels than positions.

  Positions are those of the memory; two equal labels in a row need another
  between them (Graves 2006). Sampled segmentations may be longer than those
  that are counted here.

  Args:
    model: its encoder may shorten the source.
    corpus: the training examples, of which only targets are read.
    vocabularies: encode them.
    indices: [N] those that are trained on.
    lengths: [N, 2] their source and target positions, EOS included.
  """
  available = memory_positions(model, vocabularies, lengths[:, 0])
  labels = lengths[:, 1] - 1
  found = []
  # No other can be too long, however many of its labels are equal.
  for n in np.flatnonzero(2 * labels - 1 > available).tolist():
    i = int(indices[n])
    source, text = corpus.train[i]
    copyable = vocabularies.source.copyable(source)
    ids = vocabularies.target.encode(text, None, copyable).values[:-1]
    blanks = int(np.sum(ids[1:] == ids[:-1]))
    if len(ids) + blanks > available[n]:
      found.append(i)
  return found


def memory_positions(
  model: seq2seq.Seq2Seq,
  vocabularies: vocabulary.Vocabularies,
  lengths: np.ndarray,
) -> np.ndarray:
  """Positions of the memory of sources with so many positions. [N].

  Args:
    model: its encoder may shorten the source.
    vocabularies: make the model's inputs.
    lengths: [N] positions of the sources.
  """
  distinct, place = np.unique(lengths, return_inverse=True)
  example = batches.filler(vocabularies, 1, int(distinct[-1]), target=1)
  assert example.src is not None
  source = np.broadcast_to(example.src, (len(distinct), *example.src.shape[1:]))

  def initial(batch: types.Batch) -> Any:
    return model.init(jax.random.key(0), batch, method="initialize")

  variables = jax.eval_shape(initial, example)

  def positions(lengths: types.Array) -> types.Array:
    # Only the mask is asked for, so nothing else is ever computed.
    zeros = functools.partial(
      jax.tree.map, lambda x: jnp.zeros(x.shape, x.dtype)
    )
    memory: Any = model.apply(
      zeros(variables),
      zeros(source),
      lengths,
      method=lambda m, *args: m.encoder(*args),
    )
    return jnp.sum(memory.mask, axis=1)

  counts = jax.jit(positions)(distinct.astype(np.int32))
  return np.asarray(counts)[place]
