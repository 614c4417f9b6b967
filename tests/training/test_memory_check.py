"""What a compiled step needs, and what is said of it."""

import jax
import jax.numpy as jnp
import pytest

from seq2seq_jax import types
from seq2seq_jax.training import memory_check

pytestmark = pytest.mark.quick


def test_need_counts_arguments_results_and_what_is_in_between():
  def step(w, x):
    return w + jnp.sum((x[:, None] * w[None]) ** 2, axis=0)

  w, x = jnp.zeros((64, 64)), jnp.zeros((128, 64))
  compiled = jax.jit(step).lower(w, x).compile()
  found = memory_check.need(compiled, 128, 64)
  assert found.state == w.nbytes + x.nbytes + w.nbytes
  assert found.rows == 128 and found.step >= 0


def test_what_fits_is_told_and_what_does_not_is_refused():
  gib = memory_check.GIB
  small = memory_check.Need(gib, gib, 32, 40)
  large = memory_check.Need(gib, 2 * gib, 64, 40)
  told = memory_check.report([small, None, large], 9 * gib)
  assert "3.00 GiB" in told and "9.0 GiB" in told
  assert "256 of its rows would fit" in told  # (9 - 1) / (2 / 64)
  # Half of the smaller one's need is there whatever the rows.
  less = memory_check.Need(gib, gib, 64, 10)
  told = memory_check.report(
    [less, memory_check.Need(gib, 2 * gib, 64, 30)], 9 * gib
  )
  assert "320 of its rows would fit" in told  # (9 - 1 - 0.5) / (1.5 / 64)
  with pytest.raises(types.UserError, match=r"lower data\.batch_size"):
    memory_check.report([small, large], 2 * gib)
  assert memory_check.report([None], gib) is None
  assert memory_check.report([small], None) is None
