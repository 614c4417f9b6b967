"""Training on speech in files: from a cache, resumed, with bad files."""

import shutil

import numpy as np
import pytest

from seq2seq_jax import config, evaluate, types
from seq2seq_jax.training import loop, summary
from tests.helpers import speech
from tests.helpers.tiny_runs import same, small, state_of

pytest.importorskip("soundfile")


def _conf(folder, cache, **changes):
  data = speech.data(
    folder,
    speeds=("0.9", "1.0", "1.1"),
    time_masks=1,
    frequency_masks=1,
    on_error="skip",
    cache=str(cache),
  )
  train = {"steps": 4, "validate_every": 2, "average": 0, "keep_last": 9}
  conf = small(train, model={"encoder.features": 8, "encoder.cell": "gru"})
  return config.replace(
    config.replace(conf, {"data": data} | changes),
    {"decode.max_ratio": 0.1, "decode.max_extra": 4, "decode.batch_rows": 8},
  )


def test_a_run_goes_on_without_bad_files_and_resumes_in_mid_epoch(
  tmp_path, caplog, capsys
):
  folder = speech.write_splits(tmp_path / "speech")
  rows = [("v", 1200, "two"), ("w", 1600, "one two")]
  speech.write_manifest(folder, "valid.jsonl", rows)
  for name in ("u3", "w"):
    (folder / f"{name}.wav").write_bytes(b"no audio")
  conf = _conf(folder, tmp_path / "cache")
  run = loop.fit(conf, tmp_path / "whole")
  assert len(run.data.plan) == 3, "step 2 is in mid-epoch"
  # u3 at its three speeds, and perhaps again in the second epoch.
  assert 3 <= run.data.skipped <= 6
  told = f"{run.data.skipped} rows of training were filler"
  assert any(told in line for line in summary.lines(run))
  assert "3 of 18 training utterances cannot be used" in caplog.text
  assert "1 of 2 sources cannot be used; their outputs are blank" in caplog.text
  # As if it had been killed after step 2, and the audio removed: the cache has
  # all that is good.
  shutil.copytree(tmp_path / "whole", tmp_path / "killed")
  shutil.rmtree(tmp_path / "killed" / "checkpoints" / "4")
  for path in folder.glob("u[0-2]*.wav"):
    path.unlink()
  resumed = loop.fit(conf, tmp_path / "killed")
  assert resumed.first_step == 2
  states = [state_of(tmp_path / name) for name in ("whole", "killed")]
  assert same(*states)
  # Its references have scores, but for that of the bad file.
  words = ["--workdir", str(tmp_path / "whole"), "--split", "valid", "--score"]
  capsys.readouterr()
  evaluate.main(words)
  good, bad = map(float, capsys.readouterr().out.split())
  assert good < 0 and np.isnan(bad)
  with pytest.raises(types.UserError, match=r"w\.wav .*on_error skip"):
    evaluate.main([*words, "--data.audio.on_error", "fail"])
