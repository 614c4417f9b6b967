"""Which checkpoint of a workdir is meant."""

import pytest

from seq2seq_jax import types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.checkpoints import store as checkpoint_store

pytestmark = pytest.mark.quick


def test_a_best_checkpoint_that_is_gone_is_not_the_last_one():
  def best(host):
    return select.choose("w", "best", [3, 6], host)

  assert best({"best_step": 3}) == [3]
  assert best({"best_step": None}) == [6]  # nothing to validate on
  with pytest.raises(types.UserError, match="of step 2, is not there"):
    best({"best_step": 2})


def test_a_replica_of_several_runs(tmp_path):
  assert select.split_replica(f"{tmp_path}#1") == (tmp_path, 1)
  assert select.split_replica(str(tmp_path)) == (tmp_path, None)
  odd = tmp_path / "x#2"
  odd.mkdir()
  assert select.split_replica(str(odd)) == (odd, None)


@pytest.mark.parametrize("text", ["²", "٣", "9" * 5000, "-1", "1e3", ""])
def test_absurd_numbers_are_no_step_and_no_replica(text):
  with pytest.raises(types.UserError, match="has last, best, average and the"):
    select.choose("w", text, [3, 6], {})
  assert select.split_replica(f"w#{text}")[1] is None


@pytest.mark.parametrize(
  "host",
  [{"best_step": "3"}, {"averaged": 3}, {"averaged": ["x"]}, {"diverged": {}}],
)
def test_damaged_decisions_are_named(host):
  (name,) = host
  with pytest.raises(types.UserError, match=f"w: {name}"):
    select._decisions(host | {"other": 1}, "w")


def test_a_checkpoint_that_goes_while_it_is_read_is_looked_for_again(
  tmp_path, monkeypatch
):
  (tmp_path / "checkpoints" / "3").mkdir(parents=True)

  def read(workdir, *_):
    gone = workdir / "checkpoints" / "3"
    if gone.exists():  # its run removes it, for a later one
      gone.rename(workdir / "checkpoints" / "6")
      raise checkpoint_store.Damaged("checkpoint 3 is damaged")
    return "parameters", 6

  monkeypatch.setattr(select, "_load", read)
  assert select.load(tmp_path, "last") == ("parameters", 6)

  def damaged(*_):
    raise checkpoint_store.Damaged("checkpoint 6 is damaged")

  monkeypatch.setattr(select, "_load", damaged)
  with pytest.raises(types.UserError, match="checkpoint 6 is damaged"):
    select.load(tmp_path, "last")


def test_what_is_called_like_a_checkpoint_is_told(tmp_path, caplog):
  (tmp_path / "4").write_text("")
  select._tell_left_out(tmp_path, {"2", "3", "4", "x"}, [2])
  assert [r.message for r in caplog.records] == [
    f"{tmp_path / '4'}: is no whole checkpoint; it is left out"
  ]
