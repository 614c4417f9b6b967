"""Which parameters of another run are taken."""

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.checkpoints import select

pytestmark = pytest.mark.quick


def test_a_best_checkpoint_that_is_gone_is_not_the_last_one():
  best = lambda host: select.choose("w", "best", [3, 6], host)
  assert best({"best_step": 3}) == [3]
  assert best({"best_step": None}) == [6]  # nothing to validate on
  with pytest.raises(types.UserError, match="of step 2, is not there"):
    best({"best_step": 2})


def test_a_replica_of_several_runs(tmp_path):
  assert select.place_of(f"{tmp_path}#1") == (tmp_path, 1)
  assert select.place_of(str(tmp_path)) == (tmp_path, None)
  odd = tmp_path / "x#2"
  odd.mkdir()
  assert select.place_of(str(odd)) == (odd, None)


def test_rows_of_other_words_are_not_taken(caplog):
  caplog.set_level("INFO", "seq2seq_jax")
  own = {"table": np.zeros((3, 2)), "kernel": np.zeros((2, 2))}
  other = {"table": np.ones((3, 2)), "kernel": np.ones((2, 2))}
  merged = select.merge(own, other, frozenset(["table"]))
  assert merged["kernel"].all() and not merged["table"].any()
  assert "of another vocabulary, left as initialised: table" in caplog.text
