"""The CTC prefix scorer against the sum over all alignments."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seq2seq_jax import types
from seq2seq_jax.decoding import beam, ctc, stepfn

pytestmark = pytest.mark.quick
FIRST = 4  # the ids before are pad (the blank), bos, eos and unknown
LABELS = 3
V = FIRST + LABELS
LENGTHS = (5, 3, 1)
NEVER = (types.BOS, types.EOS, types.UNK)


def _logits(seed=0, scale=2.0):
  rng = np.random.default_rng(seed)
  shape = (len(LENGTHS), max(LENGTHS), V)
  return (scale * rng.standard_normal(shape)).astype(np.float32)


def _mask():
  return np.arange(max(LENGTHS))[None] < np.array(LENGTHS)[:, None]


def _memory(logits):
  return ctc.prepare(jnp.asarray(logits), jnp.asarray(_mask()), NEVER)


def _collapse(path):
  runs = [label for label, _ in itertools.groupby(path)]
  return tuple(label for label in runs if label != ctc.BLANK)


def _labellings(logits, length):
  """{labels: probability} by enumeration of the alignments of one row."""
  x = logits[:length].astype(np.float64)
  x[:, NEVER] = -np.inf
  p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
  out: dict[tuple[int, ...], float] = {}
  used = (ctc.BLANK, *range(FIRST, V))
  for path in itertools.product(used, repeat=length):
    labels = _collapse(path)
    probability = math.prod(p[t, label] for t, label in enumerate(path))
    out[labels] = out.get(labels, 0.0) + probability
  return out


def _starting(labellings, prefix):
  """Probability that a labelling starts with a prefix."""
  n = len(prefix)
  return sum(v for k, v in labellings.items() if k[:n] == prefix)


@functools.cache
def _step(associative):
  return jax.jit(functools.partial(ctc.step, associative=associative))


def _follow(memory, labels, associative=False):
  """Log-probabilities of every step of one output for all rows. [B, T, V]."""
  carry, out = ctc.start(memory), []
  for token in (types.BOS, *labels):
    tokens = jnp.full((len(LENGTHS), 1), token, jnp.int32)
    carry, log_probs, attention = _step(associative)(memory, carry, tokens)
    assert attention is None
    out.append(log_probs[:, 0])
  return np.stack(out, axis=1)


@pytest.mark.parametrize("associative", [False, True])
def test_steps_are_the_conditional_prefix_probabilities(associative):
  """Of all outputs of up to three labels, with repetitions, in all rows."""
  logits = _logits()
  memory = _memory(logits)
  ids = range(FIRST, V)
  prefixes = [p for n in range(4) for p in itertools.product(ids, repeat=n)]
  for row, length in enumerate(LENGTHS):
    labellings = _labellings(logits[row], length)

    for prefix in prefixes:
      if _starting(labellings, prefix) == 0.0:
        continue
      last = np.exp(_follow(memory, prefix, associative)[row, -1])
      want = np.zeros(V)
      want[types.EOS] = labellings.get(prefix, 0.0)
      want[FIRST:] = [_starting(labellings, (*prefix, c)) for c in ids]
      np.testing.assert_allclose(
        last, want / _starting(labellings, prefix), atol=2e-6
      )
      assert abs(last.sum() - 1.0) <= 1e-5


def test_an_outputs_steps_sum_to_its_ctc_loss():
  """With long random rows, and labels that repeat."""
  rng = np.random.default_rng(3)
  positions, labels = 40, [4, 4, 5, 6, 6, 4, 5]
  logits = rng.standard_normal((len(LENGTHS), positions, V))
  logits = logits.astype(np.float32)
  lengths = np.array([40, 25, 13])
  mask = np.arange(positions)[None] < lengths[:, None]
  memory = ctc.prepare(jnp.asarray(logits), jnp.asarray(mask), NEVER)
  steps = _follow(memory, labels)
  chosen = [*labels, types.EOS]
  total = sum(steps[:, t, token] for t, token in enumerate(chosen))
  excluded = np.isin(np.arange(V), NEVER)
  loss = optax.ctc_loss(
    np.where(excluded, -1e30, logits),
    1.0 - mask,
    np.tile(labels, (len(LENGTHS), 1)),
    np.zeros((len(LENGTHS), len(labels))),
    blank_id=ctc.BLANK,
  )
  np.testing.assert_allclose(-total, loss, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("labels", [[], [4, 4, 5], [6, 5, 6, 6]])
def test_prefixes_of_given_labels_are_those_of_the_steps(labels):
  """Each row, whatever stands behind its own labels."""
  memory = _memory(_logits(4))
  steps = _follow(memory, labels)  # [B, T, V]
  given = np.array([*labels, 5, 5], np.int32)
  given = np.tile(given, (len(LENGTHS), 1))
  got = ctc.prefixes(memory, jnp.asarray(given))
  starts, ends = np.zeros(len(LENGTHS)), None
  for n, token in enumerate([*labels, None]):
    np.testing.assert_allclose(
      np.exp(got.starts[:, n]), np.exp(starts), atol=1e-6
    )
    ends = starts + steps[:, n, types.EOS]
    np.testing.assert_allclose(np.exp(got.ends[:, n]), np.exp(ends), atol=1e-6)
    if token is not None:
      starts = starts + steps[:, n, token]


def test_what_stands_in_padding_changes_no_bit():
  logits = _logits(1)
  noisy = np.where(_mask()[..., None], logits, 50.0 * _logits(2))
  for labels in ([], [4], [4, 4, 5]):
    got = _follow(_memory(noisy), labels)
    assert np.array_equal(got, _follow(_memory(logits), labels))


def test_both_sums_over_positions_agree():
  logits = _logits(5, scale=6.0)
  for labels in ([4, 4], [6, 5, 6]):
    one, other = (_follow(_memory(logits), labels, a) for a in (False, True))
    np.testing.assert_allclose(np.exp(one), np.exp(other), atol=1e-5)


def test_a_wide_beam_finds_the_most_probable_outputs():
  """The five best labellings of all, in order, with their probabilities."""
  logits = _logits(6)
  memory = _memory(logits)
  sources = stepfn.Sources(
    memory,
    ctc.start(memory),
    jnp.zeros(len(LENGTHS), jnp.int32),
    jnp.full(len(LENGTHS), max(LENGTHS) + 1, jnp.int32),
  )

  @jax.jit
  def search(sources):
    return beam.search(
      ctc.step,
      sources,
      eos=types.EOS,
      bos=types.BOS,
      beam_size=80,
      n_best=5,
      max_steps=max(LENGTHS) + 1,
    )

  out = jax.tree.map(np.asarray, search(sources))
  for row, length in enumerate(LENGTHS):
    labellings = _labellings(logits[row], length)
    best = sorted(labellings, key=labellings.get, reverse=True)[:5]
    for n, labels in enumerate(best):
      tokens = tuple(t for t in out.tokens[row, n] if t >= FIRST)
      assert tokens == labels
      np.testing.assert_allclose(
        out.log_prob[row, n], np.log(labellings[labels]), atol=1e-4
      )


def test_the_best_path_has_no_blank_and_no_repetition():
  path = np.array([[4, 4, 0, 4, 5], [6, 6, 6, 5, 5], [0, 5, 5, 5, 5]])
  logits = 9.0 * np.eye(V, dtype=np.float32)[path]
  got = ctc.best_path(jnp.asarray(logits), jnp.asarray(_mask()), NEVER)
  assert got.tolist() == [[4, 0, 0, 4, 5], [6, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_an_impossible_prefix_stays_finite():
  """More labels than positions: nothing is NaN, and nothing is infinite."""
  steps = _follow(_memory(_logits()), [4, 4, 4, 4, 4, 4])
  possible = np.isin(np.arange(V), (ctc.BLANK, types.BOS), invert=True)
  assert np.all(np.isfinite(steps[..., possible]))
  assert np.all(steps[..., ~possible] == -np.inf)
