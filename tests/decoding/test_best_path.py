"""Greedy search of CTC against all alignments, one by one."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.decoding import best_path, ctc, stepfn

pytestmark = pytest.mark.quick
LABELS = (4, 5, 6)
V, POSITIONS = 7, 5
NEVER = (types.BOS, types.EOS, types.UNK)
LENGTHS = (5, 4, 3, 5, 2)
LONGEST = (6, 6, 2, 0, 2)  # of the third and fifth row too short; one filler


def _collapse(path):
  runs = [label for label, _ in itertools.groupby(path)]
  return tuple(label for label in runs if label != ctc.BLANK)


def _starts(p, length, prefix, whole):
  """Probability that a labelling starts with a prefix, or is it."""
  total = 0.0
  for path in itertools.product((ctc.BLANK, *LABELS), repeat=length):
    labels = _collapse(path)
    if labels == prefix or (not whole and labels[: len(prefix)] == prefix):
      total += math.prod(p[t, label] for t, label in enumerate(path))
  return total


@pytest.fixture(scope="module")
def found():
  """Label probabilities of every row, and the search's results."""
  rng = np.random.default_rng(0)
  logits = rng.standard_normal((len(LENGTHS), POSITIONS, V)) * 2
  # The fifth row's labels are as many as it may have tokens: no room for EOS.
  logits[4, 0, 4] = logits[4, 1, 5] = 9.0
  logits = logits.astype(np.float32)
  mask = np.arange(POSITIONS)[None] < np.array(LENGTHS)[:, None]

  @jax.jit
  def search(logits, mask):
    sources = stepfn.Sources(
      (), (), jnp.ones(len(LENGTHS), jnp.int32), jnp.asarray(LONGEST)
    )
    path = ctc.best_path(logits, mask, NEVER)
    return best_path.search(
      ctc.prepare(logits, mask, NEVER),
      path,
      sources,
      eos=types.EOS,
      max_steps=6,
      rule="average",
      alpha=1.0,
    )

  out = jax.tree.map(np.asarray, search(logits, jnp.asarray(mask)))
  logits = logits.astype(np.float64)
  logits[..., NEVER] = -np.inf
  p = np.exp(logits)
  return p / p.sum(axis=-1, keepdims=True), out


@pytest.mark.parametrize("row", [0, 1, 2, 4])
def test_the_output_is_the_best_path_without_repetitions_and_blanks(found, row):
  p, out = found
  path = np.argmax(p[row, : LENGTHS[row]], axis=-1)
  labels = _collapse(path.tolist())
  cut = len(labels) >= LONGEST[row]
  tokens = labels[: LONGEST[row]] if cut else (*labels, types.EOS)
  size = len(tokens)
  assert out.length[row, 0] == size and bool(out.finished[row, 0]) != cut
  assert tuple(out.tokens[row, 0]) == tokens + (types.PAD,) * (6 - size)
  before = 1.0
  for n, token in enumerate(tokens):
    whole = token == types.EOS
    prefix = tokens[:n] if whole else tokens[: n + 1]
    now = _starts(p[row], LENGTHS[row], prefix, whole)
    np.testing.assert_allclose(
      out.token_log_probs[row, 0, n], np.log(now / before), atol=1e-5
    )
    before = now
  np.testing.assert_allclose(out.log_prob[row, 0], np.log(before), atol=1e-5)
  np.testing.assert_allclose(
    out.score[row, 0], out.log_prob[row, 0] / size, rtol=1e-6
  )
  assert np.all(out.token_log_probs[row, 0, size:] == 0)


def test_a_filler_row_has_no_output(found):
  _, out = found
  assert out.length[3, 0] == 0 and out.log_prob[3, 0] == -np.inf
  assert out.score[3, 0] == -np.inf and not out.finished[3, 0]
  assert np.all(out.tokens[3] == types.PAD)


def test_both_ends_occur(found):
  """So that the rows test what they are for."""
  _, out = found
  assert out.finished[:, 0].tolist().count(True) >= 2
  assert not out.finished[4, 0]
