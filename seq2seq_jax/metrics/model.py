"""Metrics of a model on given references, without outputs of its own.

A sentence's token scores are [2, T]: log-probability of each token and whether
it ranked first; [1, T] of an ensemble, which does not know the latter.
"""

import math
from collections.abc import Sequence

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.metrics import record


def _tokens(token_scores: Sequence[np.ndarray]) -> int:
  return sum(s.shape[1] for s in token_scores)


def _loss(token_scores: Sequence[np.ndarray]) -> float:
  """Negative log-likelihood in nats a token, EOS included."""
  sums = (float(np.sum(s[0], dtype=np.float64)) for s in token_scores)
  return -math.fsum(sums) / _tokens(token_scores)


def _perplexity(token_scores: Sequence[np.ndarray]) -> float:
  return math.exp(min(_loss(token_scores), 700.0))


def _token_accuracy(token_scores: Sequence[np.ndarray]) -> float | None:
  """Share of tokens that ranked first; None of an ensemble."""
  if any(len(s) == 1 for s in token_scores):
    return None
  correct = sum(float(np.sum(s[1])) for s in token_scores)
  return 100.0 * correct / _tokens(token_scores)


def _loss_sums(token_scores: Sequence[np.ndarray]) -> np.ndarray:
  return np.array([[-np.sum(s[0]), s.shape[1]] for s in token_scores])


def _accuracy_sums(token_scores: Sequence[np.ndarray]) -> np.ndarray:
  if any(len(s) == 1 for s in token_scores):
    raise types.UserError("token_accuracy is of one model, not of an ensemble")
  return np.array([[np.sum(s[1]), s.shape[1]] for s in token_scores])


def _mean(sums: np.ndarray) -> np.ndarray:
  return sums[..., 0] / np.maximum(sums[..., 1], 1)


def _exp_mean(sums: np.ndarray) -> np.ndarray:
  return np.exp(_mean(sums))


RECORDS = (
  record.Metric(
    "loss",
    _loss,
    lower_is_better=True,
    needs="model",
    sentence_sums=_loss_sums,
    of_sums=_mean,
    bounds=record.RATE,
  ),
  record.Metric(
    "perplexity",
    _perplexity,
    lower_is_better=True,
    needs="model",
    sentence_sums=_loss_sums,
    of_sums=_exp_mean,
    bounds=(1.0, math.inf),
  ),
  record.Metric(
    "token_accuracy",
    _token_accuracy,
    needs="model",
    sentence_sums=_accuracy_sums,
    of_ensembles=False,
    bounds=record.PERCENT,
  ),
)
