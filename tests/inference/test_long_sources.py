"""Long sources: memory, the same bits, limits, and what is kept at an error."""

import json
import resource
import subprocess
import sys

import numpy as np
import pytest

from seq2seq_jax import decode, types
from seq2seq_jax.inference import sizing, translator
from seq2seq_jax.runtime import memory

TEXTS = ("1 2 3", "4 0", "2 2 2 2")
LONG = "1 2 3 4 " * 60  # 240 words: beyond the ordinary lengths


def answers(model, texts, **changes):
  found = dict(model.with_search(**changes).search(texts))
  return [found.get(i) for i in range(len(texts))]


def same_bits(a, b):
  return all(
    np.array_equal(getattr(a, name), getattr(b, name))
    for name in ("tokens", "score", "token_log_probs")
  )


def test_a_long_source_has_fewer_rows_and_the_others_the_same_bits(
  model, monkeypatch
):
  """Alone or beside others, in whatever order; the short ones as without it."""
  monkeypatch.setattr(model.translator, "_sizes", {})
  monkeypatch.setattr(model.translator, "_programs", {})
  monkeypatch.setattr(sizing, "BUDGET_CPU", 300_000)
  short = {"max_ratio": 0.1}  # long sources have few steps here
  plain = answers(model, TEXTS, **short)
  [alone] = answers(model, [LONG], **short)
  mixed = answers(model, [LONG, *TEXTS, LONG + "1", LONG], **short)
  assert all(same_bits(a, b) for a, b in zip(plain, mixed[1:4]))
  assert same_bits(mixed[0], alone) and same_bits(mixed[5], alone)
  rows = {key[0]: size.rows for key, size in model.translator._sizes.items()}
  assert rows[24] == 16 and 1 <= rows[384] < 16


@pytest.mark.quick
@pytest.mark.parametrize(
  ("positions", "row_bytes", "rows"),
  [
    (192, 2**40, 64),  # ordinary: all, and nothing is compiled to know
    (1536, 2**20, 64),
    (3072, 2**20, 16),
    (49152, 2**20, 1),
    (1536, 2**26, 16),  # 64 MiB a row: a sixteenth of the budget
    (384, 2**40, 1),
  ],
)
def test_rows_follow_from_the_shape(positions, row_bytes, rows):
  class Cpu:
    platform = "cpu"

  size = sizing.fitting(64, positions, Cpu(), lambda n: n * row_bytes)
  assert size.rows == rows
  assert size.need == (None if positions <= 192 else rows * row_bytes)


def test_a_limit_cuts_skips_or_refuses(model, caplog):
  texts = ["1 2 3 4 0", "1 2 3", "2 2 2 2 2 2"]
  limit = {"max_source_length": 4}
  cut = answers(model, texts, long_source="cut", **limit)
  assert same_bits(cut[0], answers(model, ["1 2 3"])[0])
  assert (
    "2 of 3 sources have more tokens than decode.max_source_length 4 and were "
    "cut to it; the first is source 1, of 6 tokens" in caplog.text
  )
  skipped = answers(model, texts, long_source="skip", **limit)
  assert [x is None for x in skipped] == [True, False, True]
  assert "were skipped" in caplog.text
  with pytest.raises(types.Unanswerable, match=r"source 1: has 6 tokens, more"):
    answers(model, texts, **limit)


def test_scores_of_a_split_follow_the_limit(model, caplog):
  pairs = [("1 2 3 4 0", "1"), ("1 2 3", "1")]
  cut = model.with_search(max_source_length=4, long_source="cut")
  _, log_probs = cut.score_split(pairs)
  assert log_probs[0] == log_probs[1] and "the first is source 1" in caplog.text
  skip = model.with_search(max_source_length=4, long_source="skip")
  found, log_probs = skip.score_split(pairs)
  assert np.isnan(log_probs).tolist() == [True, False]
  assert found["loss"] == pytest.approx(-log_probs[1] / 2)
  assert len(skip.evaluation(pairs).texts) == 2
  assert skip.evaluation(pairs).texts[0] == ""
  with pytest.raises(types.UserError, match="every source is longer than"):
    skip.score_split(pairs[:1])


def test_what_was_answered_before_a_line_without_answer_is_kept(
  whole, tmp_path, monkeypatch
):
  lines = ["1 2 3", "", "4 0", "1 2 3 4 0 1 2", "2 2"]
  source, output = tmp_path / "in", tmp_path / "out"
  source.write_text("\n".join(lines) + "\n")
  command = ["--workdir", str(whole), "--input", str(source)]
  command += ["--output", str(output)]
  assert decode.main(command) == 0
  complete = output.read_text().splitlines()
  limit = ["--decode.max-source-length", "5", "--batch-size", "2"]
  with pytest.raises(
    types.UserError, match=r"in, line 4: has 8 tokens.* answers to the 3 lines"
  ):
    decode.main([*command, *limit])
  assert output.read_text().splitlines() == complete[:3]
  output.write_text("old")
  source.write_text(lines[3] + "\n")
  with pytest.raises(types.UserError, match=r"line 1: .*no line was answered"):
    decode.main([*command, *limit])
  assert output.read_text() == "old"


@pytest.mark.parametrize("how", ["estimate", "allocation"])
def test_the_end_of_memory_names_line_length_and_field(
  how, whole, tmp_path, monkeypatch
):
  source, output = tmp_path / "in", tmp_path / "out"
  source.write_text(f"1 2 3\n{LONG}\n4 0\n")
  if how == "estimate":
    monkeypatch.setattr(memory, "available", lambda _: 1000)
  else:
    encode = translator.Translator._encode_pool

    def full(self, params, pool, padded, rows, turn):
      if padded > 192:
        raise MemoryError
      return encode(self, params, pool, padded, rows, turn)

    monkeypatch.setattr(translator.Translator, "_encode_pool", full)
  command = ["--workdir", str(whole), "--input", str(source)]
  command += ["--output", str(output), "--decode.max-ratio", "0.1"]
  with pytest.raises(
    types.UserError,
    match=r"line 2: its 241 tokens need .* lower decode.max_source_length",
  ):
    decode.main(command)
  assert len(output.read_text().splitlines()) == 1


def _train(config, workdir, *flags):
  command = [sys.executable, "-m", "seq2seq_jax.train", config, "--workdir"]
  command += [str(workdir), "--train.metric", "loss", *flags]
  subprocess.run(command, check=True, timeout=600)


def _peak(*command):
  """Standard output of a command, and its greatest memory in bytes."""
  code = (
    "import resource, subprocess, sys\n"
    "done = subprocess.run(sys.argv[1:])\n"
    "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
    "print(peak * 1024, file=sys.stderr)\n"
    "sys.exit(done.returncode)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code, sys.executable, "-m", *command],
    capture_output=True,
    text=True,
    timeout=900,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout, int(done.stderr.splitlines()[-1])


@pytest.mark.slow
def test_a_line_of_thirty_thousand_words(tmp_path):
  run = tmp_path / "run"
  steps = ("--train.steps", "60", "--train.validate_every", "60")
  _train("configs/scan_simple.py", run, *steps)
  rng = np.random.default_rng(0)
  words = [
    "jump",
    "walk",
    "run",
    "look",
    "turn",
    "left",
    "right",
    "twice",
    "thrice",
    "and",
    "after",
  ]
  lines = [" ".join(rng.choice(words, n)) for n in (3, 5, 30_000, 4, 9)]
  found = {}
  for name, kept in (("with", lines), ("without", lines[:2] + lines[3:])):
    source, output = tmp_path / name, tmp_path / f"{name}.jsonl"
    source.write_text("\n".join(kept) + "\n")
    flags = ["--input", str(source), "--output", str(output), "--format"]
    # A model of few steps never ends a long output by itself.
    flags += ["jsonl", "--decode.max_ratio", "0.05", "--workdir", str(run)]
    _, peak = _peak("seq2seq_jax.decode", *flags)
    assert peak < 1.5 * memory.GIB
    found[name] = [json.loads(x) for x in output.read_text().splitlines()]
  assert found["with"][2]["hypotheses"]
  del found["with"][2]
  assert found["with"] == found["without"]


@pytest.mark.slow
def test_three_thousand_tokens_on_both_sides_of_a_copying_model(tmp_path):
  run = tmp_path / "run"
  _train(
    "configs/copynet_rules.py",
    run,
    *("--train.steps", "4", "--train.validate_every", "4"),
    *("--data.buckets", "1", "--model.embed_dim", "32"),
    *("--model.encoder.dim", "32", "--model.decoder.dim", "32"),
  )
  rng = np.random.default_rng(0)
  for name in ("source", "reference"):
    words = " ".join(f"w{i}" for i in rng.integers(3000, size=3000))
    (tmp_path / name).write_text(f"{words}\nx y z\n")
  flags = [f"--{name}={tmp_path / name}" for name in ("source", "reference")]
  out, peak = _peak(
    "seq2seq_jax.evaluate", "--workdir", str(run), "--score", *flags
  )
  assert peak < 3 * memory.GIB
  assert len([float(x) for x in out.splitlines()]) == 2


def test_available_memory_counts_the_limit_of_the_address_space(monkeypatch):
  import jax

  [device, *_] = jax.local_devices()
  limits = (2**20, 2**20)
  monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
  assert memory.available(device) == 0
