"""Search against brute force, a beam of plain lists, and known optima."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.decoding import beam, length_rules, stepfn
from seq2seq_jax.decoding import greedy as greedy_lib
from tests.helpers import oracle_search as oracle

CASES = [
  ("none", 0.0),
  ("average", 0.6),
  ("average", 1.0),
  ("average", -0.5),
  ("gnmt", 0.6),
  ("gnmt", 2.0),
  ("word_reward", 0.4),
  ("word_reward", 3.0),
  ("word_reward", -0.5),
]
every_case = pytest.mark.parametrize("rule,alpha", CASES)
every_rule = pytest.mark.parametrize("rule,alpha", CASES[::2])
GNMT = dict(rule="gnmt", alpha=0.6)
# Values closer than this may come in another order in float32.
CLEAR = 1e-4


@functools.partial(jax.jit, static_argnames=("function", "apply", "options"))
def _compiled(
  params, carry, min_len, max_len, real, *, function, apply, options
):
  memory = ()
  if isinstance(carry, dict):  # what differs between rows comes from here
    memory = carry["bias"][:, 0]
    carry = carry | {"bias": jnp.zeros_like(carry["bias"])}

  def step_fn(memory, carry, tokens):
    if not isinstance(carry, dict):
      return apply(params, carry, tokens)
    bias = carry["bias"]
    new, *out = apply(params, carry | {"bias": memory[:, None]}, tokens)
    return new | {"bias": bias}, *out

  return function(
    step_fn,
    stepfn.Sources(memory, carry, min_len, max_len, real),
    eos=types.EOS,
    bos=types.BOS,
    **dict(options),
  )


def _run(model, limits, function, rows=None, apply=None, **options):
  """A search as NumPy arrays; `limits` are shortest and longest, [B] each."""
  min_len, max_len = (jnp.asarray(x, jnp.int32) for x in limits)
  options.setdefault("max_steps", int(max_len.max()))
  if "width" in options:
    options["rows"] = options.pop("width")
  real = None
  if "penalties" in options:
    penalties = options.pop("penalties")
    options["coverage"] = penalties[0].beta
    positions = np.arange(oracle.Rnn.SOURCE)[None]
    real = jnp.asarray(
      positions < np.array([p.size for p in penalties])[:, None]
    )
  hypotheses = _compiled(
    model.params,
    model.carry(range(len(max_len)) if rows is None else rows),
    min_len,
    max_len,
    real,
    function=function,
    apply=apply or type(model).apply,
    options=tuple(sorted(options.items())),
  )
  return jax.tree.map(np.asarray, hypotheses)


def _beam(model, limits, size, n_best=None, **options):
  n = size if n_best is None else n_best
  return _run(model, limits, beam.search, beam_size=size, n_best=n, **options)


def _greedy(model, limits, **options):
  return _run(model, limits, greedy_lib.search, **options)


def _slow(search, model, row, limits, **options):
  low, high = int(limits[0][row]), int(limits[1][row])
  return search(model, row, min_len=low, max_len=high, **options)


def _unpack(hypotheses, row):
  """The hypotheses of a row as the oracle writes them; checks the padding."""
  out = []
  for n, score in enumerate(hypotheses.score[row]):
    assert not np.isnan(hypotheses.score[row]).any()
    tokens = hypotheses.tokens[row, n]
    terms = hypotheses.token_log_probs[row, n]
    if score == -math.inf:
      assert (tokens == types.PAD).all()
      assert (terms == 0).all()
      assert not hypotheses.finished[row, n]
      assert (hypotheses.score[row, n:] == -math.inf).all()
      break
    length = int(hypotheses.length[row, n])
    log_prob = float(hypotheses.log_prob[row, n])
    assert 1 <= length <= len(tokens)
    assert (tokens[length:] == types.PAD).all()
    assert (terms[length:] == 0).all()
    assert math.isclose(terms.sum(), log_prob, rel_tol=1e-5, abs_tol=1e-5)
    ended = bool(hypotheses.finished[row, n])
    assert ended == (tokens[length - 1] == types.EOS)
    words = tuple(tokens[:length].tolist())
    out.append(oracle.Hypothesis(words, log_prob, float(score), ended))
  assert all(a.score >= b.score for a, b in itertools.pairwise(out))
  return out


def _close(a, b):
  np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def _assert_same(got, want):
  assert [h.tokens for h in got] == [h.tokens for h in want]
  assert [h.finished for h in got] == [h.finished for h in want]
  _close([h.log_prob for h in got], [h.log_prob for h in want])
  _close([h.score for h in got], [h.score for h in want])


def _assert_same_bits(a, b):
  for name, x, y in zip(a._fields, a, b, strict=True):
    if x is not None:
      assert x.tobytes() == y.tobytes(), name


@pytest.mark.quick
@every_case
def test_final_score_is_the_length_rule(rule, alpha):
  log_prob = np.array([[-0.5, -7.0], [-31.0, 0.0]], np.float32)
  length = np.array([[1, 4], [50, 2]], np.int32)
  got = length_rules.rank_score(
    rule, alpha, jnp.asarray(log_prob), jnp.asarray(length)
  )
  want = [
    oracle.score(rule, alpha, float(p), int(n))
    for p, n in zip(log_prob.flat, length.flat, strict=True)
  ]
  _close(np.ravel(got), want)


@pytest.mark.quick
@every_case
@pytest.mark.parametrize("vocab,longest", [(6, 3), (5, 4)])
def test_wide_beam_equals_brute_force(vocab, longest, rule, alpha):
  """K >= V^(T-1) holds every prefix: the K best of all outputs come back."""
  low = [0, 1, 2, longest, longest + 1, 1, 2]
  limits, size = (low, [longest] * 5 + [1, 2]), vocab ** (longest - 1)
  options, clear, total = dict(rule=rule, alpha=alpha), 0, 0
  for seed in range(4):
    model = oracle.Rnn(seed, vocab, len(low))
    got = _beam(model, limits, size, **options)
    for row in range(len(low)):
      found, total = _unpack(got, row), total + 1
      want = _slow(oracle.enumerate_all, model, row, limits, **options)
      gaps = [a.score - b.score for a, b in itertools.pairwise(want)]
      _close([h.score for h in found], [h.score for h in want[:size]])
      if min(gaps) > CLEAR / 100:
        clear += 1
        _assert_same(found, want[:size])
  assert clear > 0.8 * total


@every_case
@pytest.mark.parametrize("size", [2, 5])
def test_narrow_beam_equals_lists(size, rule, alpha):
  """Hypothesis by hypothesis, against a search that never stops early."""
  limits = [0, 1, 3, 9, 0, 2, 1, 1], [9, 8, 9, 9, 1, 2, 5, 7]
  options, clear, total = dict(rule=rule, alpha=alpha), 0, 0
  for seed in range(10):
    # From outputs that end at once to ones that are cut.
    model = oracle.Rnn(100 + seed, 9, 8, 3.0, eos=seed % 3 - 1)
    got = _beam(model, limits, size, **options)
    for row in range(8):
      want, gap = _slow(
        oracle.beam, model, row, limits, beam_size=size, **options
      )
      found, total = _unpack(got, row), total + 1
      if gap > CLEAR:
        clear += 1
        _assert_same(found, want)
  assert clear > 0.9 * total


@pytest.mark.quick
@pytest.mark.parametrize("patience", [0.4, 1.0, 2.0])
def test_patience_counts_the_hypotheses_that_ended(patience):
  """The list of a first-come-first-served beam, against plain lists."""
  limits = [0, 1, 3, 9, 0, 2, 1, 1], [12, 8, 9, 9, 1, 2, 12, 12]
  options = dict(rule="average", alpha=1.0, patience=patience)
  other = clear = total = 0
  for seed in range(6):
    model = oracle.Rnn(500 + seed, 9, 8, 3.0, eos=seed % 3 - 1)
    # All K are asked for, so that nothing but patience stops a row early.
    got = _beam(model, limits, 5, **options)
    for row in range(8):
      slow = functools.partial(
        _slow, oracle.beam, model, row, limits, beam_size=5, rule="average"
      )
      want, gap = slow(alpha=1.0, patience=patience)
      found, total = _unpack(got, row), total + 1
      if gap > CLEAR:
        clear += 1
        _assert_same(found, want)
      other += want != slow(alpha=1.0)[0]
  assert clear > 0.9 * total
  assert other, "it never stops too early: the test shows nothing"


@pytest.mark.quick
@pytest.mark.parametrize("beta", [0.2, 3.0])
def test_coverage_penalty_counts_the_attention_received(beta):
  """A wide beam against brute force, narrow ones and greedy against lists."""
  low, high = [0, 1, 2, 3, 1], [3, 3, 3, 3, 2]
  limits, options = (low, high), dict(rule="gnmt", alpha=0.6)
  penalties = [oracle.Penalty(beta, 4 - row % 3) for row in range(len(low))]
  changed = clear = total = 0
  for seed in range(4):
    model = oracle.Rnn(400 + seed, 6, len(low), 3.0)
    wide = _beam(model, limits, 36, **options, penalties=penalties)
    narrow = _beam(model, limits, 2, **options, penalties=penalties)
    one = _greedy(model, limits, **options, penalties=penalties)
    for row, penalty in enumerate(penalties):
      slow = functools.partial(_slow, model=model, row=row, limits=limits)
      how = options | {"penalty": penalty}
      every = slow(oracle.enumerate_all, **how)[:36]
      gap = min(a.score - b.score for a, b in itertools.pairwise(every))
      few, few_gap = slow(oracle.beam, beam_size=2, **how)
      first, first_gap = slow(oracle.greedy, **how)
      for got, want, distance in (
        (wide, every, gap),
        (narrow, few, few_gap),
        (one, [first], first_gap),
      ):
        found, total = _unpack(got, row), total + 1
        assert len(found) == len(want)
        if distance > CLEAR / 10:
          clear += 1
          _assert_same(found, want)
      changed += (
        slow(oracle.enumerate_all, **options)[0].tokens != every[0].tokens
      )
  assert clear > 0.8 * total
  assert changed, "no output is another one for the penalty"


@every_rule
def test_greedy_takes_the_likeliest_token(rule, alpha):
  limits, options = ([0, 1, 3, 9, 1, 2], [9, 8, 9, 9, 1, 5]), dict(rule=rule)
  options["alpha"], clear = alpha, 0
  for seed in range(10):
    model = oracle.Rnn(200 + seed, 9, 6, 3.0, eos=seed % 3 - 1)
    got = _greedy(model, limits, **options)
    assert got.tokens.shape == (6, 1, 9)
    for row in range(6):
      want, gap = _slow(oracle.greedy, model, row, limits, **options)
      if gap > CLEAR:
        clear += 1
        _assert_same(_unpack(got, row), [want])
  assert clear > 0.9 * 60


@pytest.mark.quick
@every_rule
def test_beam_of_one_equals_greedy(rule, alpha):
  limits = [0, 1, 3, 9, 1, 2], [9, 8, 9, 9, 1, 5]
  for seed in range(10):
    model = oracle.Rnn(300 + seed, 9, 6, 3.0, eos=seed % 3 - 1)
    one = _beam(model, limits, 1, rule=rule, alpha=alpha)
    greedy = _greedy(model, limits, rule=rule, alpha=alpha)
    for row in range(6):
      _assert_same(_unpack(one, row), _unpack(greedy, row))


@pytest.mark.quick
@every_rule
def test_finds_the_optimum_of_a_markov_chain(rule, alpha):
  rng, missed, limits = np.random.default_rng(7), 0, ([4], [14])
  options = dict(rule=rule, alpha=alpha)
  for _ in range(4):
    logits = 2.0 * rng.standard_normal((24, 24))
    logits[:, types.EOS] -= 1.0
    model = oracle.Chain(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    want = oracle.viterbi(model.table, min_len=4, max_len=14, **options)
    got = _beam(model, limits, 64, n_best=1, **options)
    _assert_same(_unpack(got, 0), [want])
    first, _ = _slow(oracle.greedy, model, 0, limits, **options)
    missed += first.tokens != want.tokens
  assert missed, "greedy search finds all of them: the chains are too easy"


@pytest.mark.quick
def test_rows_depend_on_neither_neighbours_nor_place():
  rows, model = np.arange(8), oracle.Rnn(1, 9, 16, 3.0)
  low = np.array([0, 1, 2, 3, 0, 1, 2, 3])
  high = np.array([12, 3, 7, 12, 1, 9, 5, 10])
  search = functools.partial(_beam, model, size=3, max_steps=12, **GNMT)
  base = search((low, high))
  order = np.random.default_rng(0).permutation(8)
  moved = search((low[order], high[order]), rows=order)
  _assert_same_bits(moved, jax.tree.map(lambda x: x[order], base))
  for kept in range(8):
    others = np.where(rows == kept, rows, rows + 8)
    limits = low, np.where(rows == kept, high, 13 - high)

    def pick(x, i=kept):
      return x[i]

    alone = jax.tree.map(pick, search(limits, rows=others))
    _assert_same_bits(alone, jax.tree.map(pick, base))


class _Poisoned(oracle.Rnn):
  """Gives NaN to every row once its own last position has passed."""

  def carry(self, rows):
    return super().carry(rows), jnp.asarray(self.longest, jnp.int32)[:, None]

  @staticmethod
  def apply(params, carry, tokens):
    inner, limit = carry
    late = (inner["deep"][1][0] >= limit)[..., None]
    inner, *outputs = oracle.Rnn.apply(params, inner, tokens)
    outputs = [jnp.where(late, jnp.nan, x) for x in outputs]
    return (inner, limit), *outputs


@pytest.mark.quick
def test_rows_that_are_done_stay_frozen():
  """What follows their longest length changes nothing any more."""
  limits, rule = ([0, 1, 2, 10], [1, 3, 5, 10]), dict(rule="average", alpha=1.0)
  plain, bad = (kind(3, 9, 4, 3.0) for kind in (oracle.Rnn, _Poisoned))
  bad.longest = limits[1]
  for search in (functools.partial(_beam, size=3), _greedy):
    _assert_same_bits(
      search(plain, limits, **rule), search(bad, limits, **rule)
    )


@pytest.mark.quick
def test_fewer_outputs_and_longer_programs_change_nothing():
  model, limits = oracle.Rnn(4, 9, 4, 3.0), ([0, 1, 2, 3], [6, 2, 6, 4])
  base = _beam(model, limits, 4, **GNMT)
  two = _beam(model, limits, 4, n_best=2, **GNMT)
  long = _beam(model, limits, 4, max_steps=15, **GNMT)
  assert two.tokens.shape == (4, 2, 6)
  assert long.tokens.shape == (4, 4, 15)
  for row in range(4):
    want = _unpack(base, row)
    _assert_same(_unpack(two, row), want[:2])
    _assert_same(_unpack(long, row), want)


@pytest.mark.quick
@pytest.mark.parametrize("size", [1, 4])
def test_token_scores_and_attention_are_those_of_the_tokens(size):
  """Forced along each output: carries and histories were reordered alike."""
  model, limits = oracle.Rnn(5, 9, 4, 3.0), ([0, 1, 6, 3], [8, 3, 8, 6])
  got = _beam(model, limits, size, with_attention=True, **GNMT)
  assert got.attention.shape == (4, size, 8, oracle.Rnn.SOURCE)
  for row, n in itertools.product(range(4), range(size)):
    length = got.length[row, n]
    tokens = got.tokens[row, n, :length].tolist()
    terms, attention = oracle.replay(model, row, tokens)
    _close(got.token_log_probs[row, n, :length], terms)
    _close(got.attention[row, n, :length], attention)
    assert (got.attention[row, n, length:] == 0).all()
  assert _beam(model, limits, size, **GNMT).attention is None


@pytest.mark.quick
@every_rule
def test_dead_ends_and_missing_hypotheses(rule, alpha):
  """Continuations of probability 0 are never taken, even to fill the list."""
  rng, limits = np.random.default_rng(0), ([0, 3, 1], [4, 4, 1])
  options = dict(rule=rule, alpha=alpha)
  for _ in range(4):
    table = np.log(rng.dirichlet(np.ones(7), 7))
    table[4, :] = -np.inf  # nothing follows
    table[5, [3, 5, 6]] = -np.inf  # must end, or run into the dead end
    table[6, types.EOS] = -np.inf
    model = oracle.Chain(table)
    got = _beam(model, limits, 60, **options)
    for row in range(3):
      want = _slow(oracle.enumerate_all, model, row, limits, **options)
      assert len(want) < 60
      _assert_same(sorted(_unpack(got, row)), sorted(want))


@pytest.mark.quick
@pytest.mark.parametrize("size", [2, 3, 7])
def test_ties_go_to_the_lower_index(size):
  rng, limits = np.random.default_rng(size), ([4, 2], [4, 3])
  options = dict(rule="none", alpha=0.0)
  for _ in range(4):
    # Exact in float32, so that sums tie exactly. An output that ends and one
    # that is cut differ by a half: only continuations tie.
    table = -1.0 - rng.integers(0, 2, (8, 8))
    table[:, types.EOS] -= 0.5
    model = oracle.Chain(table)
    got = _beam(model, limits, size, **options)
    for row in range(2):
      want, _ = _slow(
        oracle.beam, model, row, limits, beam_size=size, **options
      )
      _assert_same(_unpack(got, row), want)


@pytest.mark.quick
def test_stops_as_soon_as_nothing_can_change():
  table = np.full((8, 8), math.log(0.001), np.float32)
  table[:, types.EOS] = math.log(0.98)
  steps = []

  def counted(params, carry, tokens):
    jax.debug.callback(lambda: steps.append(1))
    return oracle.Chain.apply(params, carry, tokens)

  options = dict(rule="none", alpha=0.0, apply=counted)
  got = _beam(oracle.Chain(table), ([0, 0], [60, 60]), 3, **options)
  jax.effects_barrier()
  assert got.finished.all()
  assert 1 <= len(steps) <= 5


@pytest.mark.quick
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("width,total", [(1, 23), (4, 23), (16, 23), (4, 9)])
def test_waiting_sentences_take_the_rows_of_answered_ones(size, width, total):
  """As if all had rows of their own, and in the same bits in any order."""
  count = 23
  rng = np.random.default_rng(4)
  limits = rng.integers(0, 3, count), rng.integers(1, 13, count)
  limits[1][[3, 8, 22]] = 0  # fillers
  model = oracle.Rnn(1, 9, count, 3.0)
  search = (
    _beam
    if size > 1
    else lambda model, limits, size, **options: _greedy(
      model, limits, **options
    )
  )
  options = GNMT | dict(max_steps=12, with_attention=True)
  whole = search(model, limits, size, **options)
  few = search(model, limits, size, width=width, total=total, **options)
  for x, y in zip(*map(jax.tree.leaves, (few, whole)), strict=True):
    # Other row counts may differ in the last bits.
    same = _close if x.dtype == np.float32 else np.testing.assert_array_equal
    same(x[:total], y[:total])
  order = np.roll(rng.permutation(total), 3)
  order = np.concatenate([order, np.arange(total, count)])
  mixed = search(
    model,
    tuple(x[order] for x in limits),
    size,
    rows=order,
    width=width,
    total=total,
    **options,
  )

  def pick(x, at):
    return np.ascontiguousarray(x[at[:total]])

  _assert_same_bits(
    jax.tree.map(lambda x: pick(x, np.arange(count)), mixed),
    jax.tree.map(lambda x: pick(x, order), few),
  )
  assert not np.any(few.length[total:])
  assert np.ptp(whole.length[:, 0]) > 4  # they end at different steps
