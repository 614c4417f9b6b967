"""Scores of a run with several seeds."""

import numpy as np
import pytest

import seq2seq_jax
from seq2seq_jax import types
from seq2seq_jax.inference import replicas
from tests.helpers.tiny_runs import small


@pytest.mark.quick
def test_means_and_deviations():
  results = [
    {"replica": n, "bleu": 10.0 * n, "checkpoint_step": [n], "sentences": 3}
    for n in (0, 2)
  ]
  merged = replicas.summary(results)
  assert merged["bleu"] == 10 and merged["bleu_sd"] == pytest.approx(200**0.5)
  assert merged["sentences"] == 3 and "checkpoint_step" not in merged
  assert merged["replicas"] == results
  assert "bleu_sd" not in replicas.summary(results[:1])


def test_a_run_of_two_seeds_is_scored_as_its_replicas_are(tmp_path):
  conf = small({"steps": 6, "validate_every": 3, "seeds": 2, "patience": 0})
  seq2seq_jax.fit(conf, tmp_path / "run")
  run = f"{tmp_path / 'run'}"
  pairs = [("1 2", "1 2"), ("3", "3"), ("0 4 1", "0 4 1")]
  singles = [seq2seq_jax.evaluate(f"{run}#{n}", pairs) for n in (0, 1)]
  both = seq2seq_jax.evaluate(run, pairs, beam_size=3)
  assert [r["replica"] for r in both["replicas"]] == [0, 1]
  losses = [single["loss"] for single in singles]
  assert losses[0] != losses[1]
  assert [r["loss"] for r in both["replicas"]] == losses
  assert both["loss"] == pytest.approx(np.mean(losses))
  assert both["loss_sd"] == pytest.approx(np.std(losses, ddof=1))
  assert seq2seq_jax.evaluate(run, pairs, replica=1)["loss"] == losses[1]
  with pytest.raises(types.UserError, match="holds several runs"):
    seq2seq_jax.evaluate(run, pairs, output=tmp_path / "out")
  with pytest.raises(types.UserError, match="holds 2 runs; choose one"):
    seq2seq_jax.load(run)
  ensemble = seq2seq_jax.load([f"{run}#0", f"{run}#1"])
  assert len(ensemble.translate(["1 2", "3"])) == 2
