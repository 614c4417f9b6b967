"""Slow searches to compare with: plain lists, one sentence, float64.

A model here is a pair (`start(row)` -> state, `step(state, token)` -> (state,
log_probs [V], attention [S'])) of one hypothesis, in NumPy. `Rnn` and `Chain`
also offer the same model in jnp, as `apply(params, carry, tokens)`.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import types

RULES = ("none", "average", "gnmt", "word_reward")
NEVER = (types.PAD, types.BOS)


class Hypothesis(NamedTuple):
  """One output; `finished` is False where it was cut at the longest length."""

  tokens: tuple[int, ...]
  log_prob: float
  score: float
  finished: bool


def score(rule, alpha, log_prob, length):
  """The length rules, a number at a time."""
  if rule == "none":
    return log_prob
  if rule == "average":
    return log_prob / length**alpha
  if rule == "gnmt":
    return log_prob / ((5 + length) / 6) ** alpha
  if rule == "word_reward":
    return log_prob + alpha * length
  raise ValueError(rule)


class Penalty(NamedTuple):
  """GNMT's coverage penalty over the first `size` positions of the source."""

  beta: float = 0.0
  size: int = 0

  def of(self, given):
    """From the attention received [S']."""
    return sum(
      self.beta * math.log(min(max(float(g), 1e-10), 1.0))
      for g in given[: self.size]
    )


NO_PENALTY = Penalty()


def _allowed(token, length, min_len):
  """May `token` be the `length`-th one?"""
  if token in NEVER:
    return False
  return token != types.EOS or length >= min_len


def enumerate_all(
  model, row, *, min_len, max_len, rule, alpha, penalty=NO_PENALTY
):
  """Every output of non-zero probability, best first: no search at all."""
  done = []

  def extend(state, prefix, log_prob, given):
    last = prefix[-1] if prefix else types.BOS
    state, log_probs, weights = model.step(state, last)
    given = given + weights
    length = len(prefix) + 1
    for token, term in enumerate(log_probs):
      if not _allowed(token, length, min_len) or term == -math.inf:
        continue
      tokens, total = (*prefix, token), log_prob + float(term)
      ended = token == types.EOS
      if ended or length == max_len:
        value = score(rule, alpha, total, length) + penalty.of(given)
        done.append(Hypothesis(tokens, total, value, ended))
      else:
        extend(state, tokens, total, given)

  extend(model.start(row), (), 0.0, 0.0)
  return sorted(done, key=lambda h: -h.score)


def beam(
  model,
  row,
  *,
  min_len,
  max_len,
  beam_size,
  rule,
  alpha,
  penalty=NO_PENALTY,
  patience=math.inf,
):
  """Beam search, stopped by patience alone. (hypotheses best first, gap)

  With patience the list holds what Kasai et al. 2022 put there: candidates are
  taken best first until K live ones are found, and those that end go to it.

  `gap` is the smallest distance between two values on whose order a decision
  rested; float32 may decide otherwise where it is tiny.
  """
  finished, gap, met = [], math.inf, 0
  live = [((), 0.0, model.start(row), 0.0)]
  for length in range(1, max_len + 1):
    options, states = [], []
    for tokens, log_prob, state, given in live:
      last = tokens[-1] if tokens else types.BOS
      state, log_probs, weights = model.step(state, last)
      states.append((state, given + weights))
      for token, term in enumerate(log_probs):
        if _allowed(token, length, min_len) and term > -math.inf:
          total = log_prob + float(term)
          options.append(((*tokens, token), total, len(states) - 1))
    # Stable sorts: among equals the lower index in [K * V] comes first.
    options.sort(key=lambda option: -option[1])
    gap = min(gap, _cut(options, 2 * beam_size, lambda o: o[1]))
    options = options[: 2 * beam_size]
    ended = [o for o in options if o[0][-1] == types.EOS]
    if patience < math.inf:
      last = _kth_live(options, beam_size)
      ended = [o for o in ended if options.index(o) < last]
    met += len(ended)
    others = [o for o in options if o[0][-1] != types.EOS]
    gap = min(gap, _cut(others, beam_size, lambda o: o[1]))
    live = [(t, lp, *states[i]) for t, lp, i in others[:beam_size]]
    for tokens, log_prob, i in ended:
      value = score(rule, alpha, log_prob, length) + penalty.of(states[i][1])
      finished.append(Hypothesis(tokens, log_prob, value, True))
    if length == max_len:
      for tokens, log_prob, _, given in live:
        value = score(rule, alpha, log_prob, length) + penalty.of(given)
        finished.append(Hypothesis(tokens, log_prob, value, False))
    finished.sort(key=lambda h: -h.score)
    gap = min(gap, _cut(finished, beam_size, lambda h: h.score))
    finished = finished[:beam_size]
    if met >= patience * beam_size:
      break
  for a, b in itertools.pairwise(finished):
    gap = min(gap, a.score - b.score)
  return finished, gap


def _kth_live(options, size):
  """Place of the last candidate that is looked at."""
  found = 0
  for place, option in enumerate(options):
    found += option[0][-1] != types.EOS
    if found == size:
      return place
  return len(options)


def _cut(items, size, value):
  """Distance between the last item kept and the first one dropped."""
  if len(items) <= size:
    return math.inf
  return value(items[size - 1]) - value(items[size])


def greedy(model, row, *, min_len, max_len, rule, alpha, penalty=NO_PENALTY):
  """The likeliest token at each step until EOS. (hypothesis, gap)"""
  state, tokens, total, gap = model.start(row), (), 0.0, math.inf
  given = 0.0
  while True:
    last = tokens[-1] if tokens else types.BOS
    state, log_probs, weights = model.step(state, last)
    given, length = given + weights, len(tokens) + 1
    options = [
      (-float(term), token)
      for token, term in enumerate(log_probs)
      if _allowed(token, length, min_len)
    ]
    options.sort()
    gap = min(gap, options[1][0] - options[0][0])
    tokens, total = (*tokens, options[0][1]), total - options[0][0]
    if tokens[-1] == types.EOS or length == max_len:
      value = score(rule, alpha, total, length) + penalty.of(given)
      return Hypothesis(tokens, total, value, tokens[-1] == types.EOS), gap


def replay(model, row, tokens):
  """Token log-probabilities [L] and attention [L, S'] of given tokens."""
  state, terms, attention = model.start(row), [], []
  for last, token in zip((types.BOS, *tokens), tokens, strict=False):
    state, log_probs, weights = model.step(state, last)
    terms.append(log_probs[token])
    attention.append(weights)
  return np.array(terms), np.array(attention)


def _softmax(logits):
  logits = logits - logits.max(-1, keepdims=True)
  return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


class Rnn:
  """A random recurrence whose every carry leaf matters to what follows.

  The carry holds a vector, a matrix, an integer position, and what is the
  row's own (a bias on the logits), nested; attention depends on the state.
  """

  WIDTH, SOURCE, CLOCK = 6, 4, 5

  def __init__(self, seed, vocab, rows, sharpness=2.0, eos=0.0):
    rng = np.random.default_rng(seed)
    width = self.WIDTH

    def normal(*shape, scale=1.0):
      return (scale * rng.standard_normal(shape)).astype(np.float32)

    # Rounded to float32, so that both precisions see the same model.
    self.embed = normal(vocab, width)
    self.hidden = normal(width, width, scale=0.8)
    self.slow = normal(2, width, scale=0.5)
    self.clock = normal(self.CLOCK, width, scale=0.7)
    self.out = normal(width, vocab, scale=sharpness / 2)
    self.query = normal(width, self.SOURCE)
    self.bias = normal(rows, vocab, scale=sharpness / 4)
    self.bias[:, types.EOS] += np.float32(eos)
    self.first = normal(rows, width)

  def start(self, row):
    """The carry of one hypothesis before its first token."""
    h = self.first[row].astype(np.float64)
    return h, np.zeros((2, self.WIDTH)), 0, self.bias[row].astype(np.float64)

  def step(self, state, token):
    h, slow, position, bias = state
    x = self.embed[token].astype(np.float64)
    x = x + h @ self.hidden.astype(np.float64)
    x = x + self.clock[position % self.CLOCK]
    h = np.tanh(x + (slow * self.slow.astype(np.float64)).sum(0))
    slow = np.stack([0.5 * slow[0] + h, slow[0] - 0.5 * slow[1]])
    logits = h @ self.out.astype(np.float64) + bias
    log_probs = np.log(_softmax(logits))
    attention = _softmax(h @ self.query.astype(np.float64))
    return (h, slow, position + 1, bias), log_probs, attention

  def carry(self, rows):
    """The batched start for `rows`: leaves [B, 1, ...]."""
    rows = np.asarray(rows)
    return {
      "h": jnp.asarray(self.first[rows][:, None]),
      "deep": (
        jnp.zeros((len(rows), 1, 2, self.WIDTH), jnp.float32),
        (jnp.zeros((len(rows), 1), jnp.int32),),
      ),
      "bias": jnp.asarray(self.bias[rows][:, None]),
    }

  @property
  def params(self):
    """What `apply` needs, so that one compiled search serves all models."""
    names = ("embed", "hidden", "slow", "clock", "out", "query")
    return {name: jnp.asarray(getattr(self, name)) for name in names}

  @staticmethod
  def apply(params, carry, tokens):
    """The same step in jnp, on [B, K]."""
    slow, (position,) = carry["deep"]
    x = params["embed"][tokens] + carry["h"] @ params["hidden"]
    x = x + params["clock"][position % len(params["clock"])]
    h = jnp.tanh(x + jnp.einsum("bkij,ij->bkj", slow, params["slow"]))
    slow = jnp.stack(
      [0.5 * slow[:, :, 0] + h, slow[:, :, 0] - 0.5 * slow[:, :, 1]], axis=2
    )
    logits = h @ params["out"] + carry["bias"]
    attention = jax.nn.softmax(h @ params["query"])
    carry = {"h": h, "deep": (slow, (position + 1,)), "bias": carry["bias"]}
    return carry, jax.nn.log_softmax(logits), attention


class Chain:
  """A first-order Markov chain given by its log-probabilities [V, V]."""

  def __init__(self, table):
    self.table = np.asarray(table, np.float32)

  def start(self, row):
    del row
    return ()

  def step(self, state, token):
    return state, self.table[token].astype(np.float64), np.zeros(1)

  def carry(self, rows):
    return jnp.zeros((len(rows), 1), jnp.int32)

  @property
  def params(self):
    return jnp.asarray(self.table)

  @staticmethod
  def apply(params, carry, tokens):
    return carry, params[tokens], None


def viterbi(table, *, min_len, max_len, rule, alpha):
  """The best output of a chain among all: dynamic programming by length."""
  table = np.asarray(table, np.float64)
  words = [v for v in range(len(table)) if v not in (*NEVER, types.EOS)]
  best = {types.BOS: (0.0, ())}
  done = []
  for length in range(1, max_len + 1):
    if length >= min_len:
      for v, (total, tokens) in best.items():
        value = total + table[v, types.EOS]
        done.append((value, length, (*tokens, types.EOS), True))
    best = {
      w: max(
        (total + table[v, w], (*tokens, w))
        for v, (total, tokens) in best.items()
      )
      for w in words
    }
  done += [(total, max_len, tokens, False) for total, tokens in best.values()]
  done = [
    Hypothesis(tokens, total, score(rule, alpha, total, length), ended)
    for total, length, tokens, ended in done
  ]
  return max(done, key=lambda h: h.score)
