"""Connectionist temporal classification against all alignments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import (
  build,
  seq2seq,
)
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import (
  close,
  compiled,
  double,
  normal,
  scattered,
  slopes_close,
  trees_close,
)
from tests.helpers.oracle_decoder import BASE, VOCAB

pytestmark = pytest.mark.usefixtures("strict")

LABELS = 5


def test_ctc_equals_the_sum_over_alignments():
  m = config.replace(BASE, {"encoder.dim": 2})
  module = build.build(m, LABELS, LABELS, ctc=True)
  rng = np.random.default_rng(8)
  targets = (
    [3, 4],
    [],
    [4, 4],
    [3, 3, 4],
    [1, 3, 4, 3],
    [3, 3, 3],
    [],
    [3] * 5,
  )
  lengths = np.array([4, 3, 3, 4, 4, 4, 1, 4], np.int32)
  rows, size = len(targets), 4
  tgt = np.zeros((rows, 7), np.int32)
  for b, labels in enumerate(targets):
    tgt[b, : len(labels) + 1] = [*labels, types.EOS]
  tgt_len = np.array([len(t) + 1 for t in targets], np.int32)
  tgt_len[6] = 0  # a filler
  tgt[6] = types.PAD
  too_long = [5, 7]  # three equal labels need five positions
  values = normal(rng, rows, size, 4)
  mask = np.arange(size)[None] < lengths[:, None]
  batch = types.Batch(None, lengths, tgt, tgt_len, np.arange(rows))
  p = {
    "kernel": normal(rng, 4, LABELS),
    "bias": normal(rng, LABELS),
  }

  def losses(p, values):
    memory = types.Memory(values, mask, ())
    variables = {"params": {"ctc_head": p}}
    terms = module.apply(variables, memory, batch, method="ctc_losses")
    return jnp.sum(terms), terms

  run = compiled(jax.grad(losses, (0, 1), has_aux=True))
  grads, terms = run(p, values)

  def slow(tree):
    out = np.zeros(rows)
    for b, n in enumerate(lengths):
      if b in too_long or tgt_len[b] == 0:
        continue
      logits = tree[1][b, :n] @ tree[0]["kernel"] + tree[0]["bias"]
      out[b] = oracle.ctc_nll(logits, targets[b])
    return out

  close(terms, slow(double((p, values))))
  assert np.array_equal(np.flatnonzero(terms == 0), [5, 6, 7])
  slopes_close(grads, lambda tree: np.sum(slow(tree)), (p, values))
  for b, n in enumerate(lengths):
    end = 0 if b in (5, 6, 7) else n
    assert not np.any(grads[1][b, end:])
  # What stands behind EOS and behind a source's end is not seen.
  other = tgt.copy()
  for b, n in enumerate(tgt_len):
    other[b, n:] = 3
  batch = batch._replace(tgt=other)
  noisy = np.where(mask[..., None], values, np.float32(5.0))
  more, seen = compiled(jax.grad(losses, (0, 1), has_aux=True))(p, noisy)
  assert np.array_equal(seen, terms)
  trees_close(more[0], grads[0])


def test_ctc_shares_the_loss():
  """(1 - w) of the decoder's and w of CTC's."""
  module = build.build(BASE, VOCAB, VOCAB, ctc=True)
  rng = np.random.default_rng(9)
  src = rng.integers(4, VOCAB, (3, 6)).astype(np.int32)
  tgt = np.array([[4, 5, 2], [6, 2, 0], [2, 0, 0]], np.int32)
  tgt_len = np.array([3, 2, 1], np.int32)
  rows = np.arange(3, dtype=np.int32)
  batch = types.Batch(src, np.array([6, 4, 2], np.int32), tgt, tgt_len, rows)
  init = lambda key: module.init(key, batch, method="initialize")
  variables = scattered(jax.eval_shape(init, jax.random.key(0)))
  plain, shared = compiled(
    lambda v: [
      module.apply(v, batch, None, seq2seq.Losses(ctc=c), method="losses")
      for c in (0.0, 0.3)
    ]
  )(variables)
  close(shared["loss"], 0.7 * plain["loss"])
  close(shared["nll"], plain["nll"])
  both = lambda m: m.ctc_losses(m.encode(batch.src, batch.src_len), batch)
  ctc = compiled(lambda v: module.apply(v, method=both))(variables)
  assert np.all(ctc > 0) and "ctc" not in plain
  close(shared["ctc"], 0.3 * ctc)
