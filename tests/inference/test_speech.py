"""Audio files and manifests given to a trained model of speech."""

import copy
import json
import pathlib
import re
import shutil

import numpy as np
import pytest

import seq2seq_jax as s2s
from seq2seq_jax import decode, evaluate, records, types
from seq2seq_jax.ablation import results
from seq2seq_jax.inference import answers as answering
from seq2seq_jax.inference import details
from tests.helpers import tiny_speech

soundfile = pytest.importorskip("soundfile")


@pytest.fixture(scope="module")
def listener(spoken):
  return s2s.load(spoken)


@pytest.fixture(scope="module")
def waves(recordings):
  return sorted(str(path) for path in (recordings / "test").glob("*.wav"))


def _decoded(spoken, tmp_path, *flags):
  out = tmp_path / "out"
  code = decode.main(["--workdir", str(spoken), "--output", str(out), *flags])
  assert code == 0
  return out.read_text().splitlines()


def test_files_manifests_and_samples_have_one_answer(
  spoken, listener, recordings, waves, tmp_path
):
  manifest = str(recordings / "test.jsonl")
  texts = listener.translate(waves)
  assert len(texts) == 4 and any(texts)
  assert _decoded(spoken, tmp_path, "--input", *waves) == texts
  assert _decoded(spoken, tmp_path, "--input", waves[3], manifest) == [
    texts[3],
    *texts,
  ]
  utterances = s2s.read_manifest(manifest)
  assert listener.translate(utterances) == texts
  samples = [soundfile.read(wave) for wave in waves]
  assert listener.translate(samples) == texts
  assert listener.translate([samples[0][0], "", waves[1]]) == [
    texts[0],
    "",
    texts[1],
  ]


def test_a_line_of_json_names_its_utterance(
  spoken, listener, recordings, waves, tmp_path
):
  manifest = recordings / "test.jsonl"
  flags = ["--format", "jsonl", "--attention", "--n-best", "2"]
  flags += ["--input", str(manifest), waves[0]]
  lines = [json.loads(line) for line in _decoded(spoken, tmp_path, *flags)]
  given = [json.loads(line) for line in manifest.read_text().splitlines()]
  for line, of_manifest in zip(lines, given):
    assert line["source"] == of_manifest["id"]
    assert line["audio"] == str(recordings / of_manifest["audio"])
    assert line["reference"] == of_manifest["text"]
  assert (lines[4]["source"], lines[4]["audio"]) == (waves[0], waves[0])
  assert "reference" not in lines[4]
  assert lines[4]["hypotheses"] == lines[0]["hypotheses"]
  assert lines[4]["hypotheses"] != lines[1]["hypotheses"]
  # Four frames of 10 ms are one position of the memory.
  frames = listener.vocabularies.source.units(s2s.read_manifest(manifest)[0])
  labels = lines[0]["source_tokens"]
  assert labels[:2] == ["0 0.01 0.02 0.03", "0.04 0.05 0.06 0.07"]
  weights = np.array(lines[0]["hypotheses"][0]["attention"])
  assert weights.shape[1] == len(labels) == -(-frames // 4)
  np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-4)


def test_bad_files_are_named_and_the_others_answered(
  spoken, listener, waves, tmp_path, caplog
):
  whole = listener.translate(waves)
  cut, short = str(tmp_path / "cut.wav"), str(tmp_path / "short.wav")
  shutil.copy(waves[0], cut)
  with open(cut, "r+b") as file:
    file.truncate(30)
  soundfile.write(short, np.zeros(20), tiny_speech.RATE)
  command = ["--workdir", str(spoken), "--batch-size", "3"]
  command += ["--input", waves[0], cut, waves[1], short, waves[2]]
  command += ["--output", str(tmp_path / "out")]
  message = r"2 of 5 utterances cannot be used, the first: .*cut\.wav.*others$"
  with pytest.raises(types.UserError, match=message):
    decode.main(command)
  lines = (tmp_path / "out").read_text().split("\n")
  assert lines == [whole[0], "", whole[1], "", whole[2], ""]
  assert "short.wav: has 20 samples, fewer than a frame" in caplog.text
  with pytest.raises(types.UserError, match=r"2 of 5"):
    decode.main([*command, "--format", "jsonl", "--attention"])
  rows = [json.loads(x) for x in (tmp_path / "out").read_text().splitlines()]
  assert [len(row["hypotheses"]) for row in rows] == [1, 0, 1, 0, 1]
  assert "cut.wav: cannot be decoded" in rows[1]["error"]
  assert "error" not in rows[2] and rows[1]["source"] == cut
  found = []
  with pytest.raises(types.Unreadable, match=r"cut.wav") as error:
    found += [i for i, _ in listener.search([cut, waves[0], short])]
  assert sorted(error.value.reasons) == [0, 2]


def test_a_limit_counts_frames(listener, waves, caplog):
  side = listener.vocabularies.source
  frames = [side.units(side.accept(wave)) for wave in waves]
  limit = {"max_source_length": sorted(frames)[1]}
  with pytest.raises(
    types.Unanswerable, match=rf"has {max(frames)} frames, more than"
  ):
    listener.translate([waves[int(np.argmax(frames))]], **limit)
  texts = listener.translate(waves, long_source="skip", **limit)
  kept = [n <= limit["max_source_length"] for n in frames]
  whole = listener.translate(waves)
  assert texts == [t if k else "" for t, k in zip(whole, kept)]
  assert "2 of 4 sources have more frames than" in caplog.text
  # One after the other, as the command answers.
  answers = answering.Answers(
    listener.with_search(long_source="skip", **limit), "text", 1, False
  )
  written, error = answers.to([side.accept(wave) for wave in waves])
  assert error is None and "".join(written).split("\n")[:-1] == texts
  cut = listener.translate(waves, long_source="cut", **limit)
  long = kept.index(False)
  samples = soundfile.read(waves[long])[0]
  mel = side.settings.mel
  count = (limit["max_source_length"] - 1) * mel.frame_shift + mel.frame_length
  assert cut[long] == listener.translate([samples[:count]])[0]


def test_a_manifest_is_scored_with_its_texts(
  spoken, listener, recordings, waves, tmp_path
):
  manifest, refs = str(recordings / "test.jsonl"), tmp_path / "refs"
  pairs = [(u, u.text) for u in s2s.read_manifest(manifest)]
  refs.write_text("".join(f"{text}\n" for _, text in pairs))

  def scores(*flags):
    flags = ["--workdir", str(spoken), "--metric", "wer", *flags]
    args, rest = evaluate.parser().parse_known_args(flags)
    found = evaluate.run(args, rest)
    return {k: v for k, v in found.items() if k != "seconds"}

  alone = scores("--source", manifest)
  assert alone["sentences"] == 4 and alone["wer"] > 0
  assert scores("--source", manifest, "--reference", str(refs)) == alone
  of_files = listener.evaluate(
    [(wave, text) for wave, (_, text) in zip(waves, pairs)], metrics=["wer"]
  )
  assert of_files["wer"] == alone["wer"]
  log_probs = listener.score(waves, [text for _, text in pairs])
  assert listener.score_split(pairs)[1] == log_probs
  (tmp_path / "bare.jsonl").write_text(json.dumps({"audio": waves[0]}) + "\n")
  for source in (str(tmp_path / "bare.jsonl"), waves[0]):
    with pytest.raises(types.UserError, match=r"utterance 1 of .* has none"):
      scores("--source", source)
  refs.write_text("one\n")
  with pytest.raises(types.UserError, match=r"has 4 lines and .* 1; they must"):
    scores("--source", manifest, "--reference", str(refs))


def test_text_and_speech_are_told_apart(spoken, whole, waves, tmp_path):
  (tmp_path / "notes").write_text("1 2 3\n")
  command = ["--input", str(tmp_path / "notes"), "--workdir"]
  with pytest.raises(types.UserError, match=r"notes: is text, but this model"):
    decode.main([*command, str(spoken)])
  command = ["--input", *waves, "--workdir"]
  with pytest.raises(
    types.UserError, match=r"wav: is audio, not text; a model"
  ):
    decode.main([*command, str(whole)])
  with pytest.raises(types.UserError, match=r"a source is tuple, but"):
    s2s.load(whole).translate([soundfile.read(waves[0])])


def test_several_files_of_text_are_read_in_order(whole, tmp_path):
  (tmp_path / "a").write_text("1 2\n\n")
  (tmp_path / "b").write_text("3 4\n")
  files = [str(tmp_path / name) for name in "ab"]
  lines = _decoded(whole, tmp_path, "--input", *files)
  assert lines == s2s.load(whole).translate(["1 2", "", "3 4"])
  limit = ["--decode.max_source_length", "2", "--workdir", str(whole)]
  (tmp_path / "a").write_text("1\n\n")
  with pytest.raises(types.UserError, match=r"b, line 1: has 3 tokens.* 2 lin"):
    decode.main(["--input", *files, *limit, "--output", str(tmp_path / "o")])
  with pytest.raises(types.UserError, match=r"gone: no such file"):
    decode.main(["--input", files[0], str(tmp_path / "gone"), *limit[2:]])


def test_attention_is_drawn_over_each_spectrogram(
  spoken, listener, whole, recordings, waves, tmp_path
):
  pytest.importorskip("matplotlib")
  manifest = str(recordings / "test.jsonl")
  flags = ["--batch-size", "3", "--plots"]
  plots = tmp_path / "new" / "plots"
  drawn = _decoded(spoken, tmp_path, *flags, str(plots), "--input", manifest)
  assert drawn == listener.translate(waves)
  names = [f"{n + 1:05d}-tones-test-{n:05d}" for n in range(4)]
  ends = ("pdf", "png")
  assert sorted(path.name for path in plots.iterdir()) == [
    f"{name}.{end}" for name in names for end in ends
  ]
  (tmp_path / "text").write_text("\n1 2 3\n")
  flags = ["--plots", str(tmp_path / "of_text"), "--input"]
  _decoded(whole, tmp_path, *flags, str(tmp_path / "text"))
  assert sorted(path.name for path in (tmp_path / "of_text").iterdir()) == [
    f"00002.{end}" for end in ends
  ]
  for folder, message in (
    (spoken / "checkpoints", "belongs to the run"),
    (tmp_path / "text", "is no folder"),
    ("", "is empty"),
  ):
    with pytest.raises(types.UserError, match=rf"--plots.* {message}"):
      decode.main(["--workdir", str(spoken), "--plots", str(folder)])


def test_weights_of_a_reversed_source_are_drawn_in_the_order_of_time(
  listener, waves
):
  side = copy.copy(listener.vocabularies.source)
  source = side.accept(waves[0])
  length, count = side.positions(source), -(-side.positions(source) // 4)
  rng = np.random.default_rng(0)
  weights = rng.dirichlet(np.ones(count), (1, 3)).astype(np.float32)
  hypotheses = types.Hypotheses(
    tokens=np.array([[4, 5, types.EOS]]),
    length=np.array([3]),
    score=np.zeros(1),
    log_prob=np.zeros(1),
    token_log_probs=np.zeros((1, 3)),
    finished=np.array([True]),
    attention=weights,
  )

  def drawn(reverse):
    side.reverse = reverse
    translator = listener.text_translator()
    translator.vocabularies = copy.copy(listener.vocabularies)
    translator.vocabularies.source = side
    return translator.attention_map(source, hypotheses)

  plain, turned = drawn(False), drawn(True)
  assert np.array_equal(plain.weights, weights[0])
  assert np.array_equal(turned.weights, weights[0, :, ::-1])
  assert plain.frames == turned.frames == 4
  # The first frames that are read are the last: whole positions end there.
  assert plain.start == 0 and turned.start == length - 4 * count
  assert len(plain.picture.values) == length
  assert plain.labels[0] == "0 0.01 0.02 0.03"
  assert turned.labels[-1].endswith(" 0") or turned.labels[-1] == "0"


def test_the_readme_s_lines_of_speech(
  spoken, recordings, waves, tmp_path, monkeypatch
):
  page = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
  section = page.split("## Speech")[1].split("\n## ")[0]
  (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
  (tmp_path / "runs").mkdir()
  (tmp_path / "runs" / "tones").symlink_to(spoken)
  (tmp_path / "tones").symlink_to(recordings)
  for name, wave in zip("ab", waves):
    (tmp_path / f"{name}.wav").symlink_to(wave)
  monkeypatch.chdir(tmp_path)
  exec(code, {})


def test_a_table_keeps_the_spectrograms_of_a_few_utterances(listener):
  evaluator = listener.evaluator(listener.split("test"))
  examples = details.attention_examples(evaluator, listener.params, 2)
  assert len(examples) == 2
  side = listener.vocabularies.source
  frames = {side.units(source) for source in evaluator.sources}
  for example in examples:
    drawn = example["spectrogram"]
    levels = np.array([[ord(c) - 48 for c in row] for row in drawn["values"]])
    assert levels.shape[1] == len(drawn["hertz"]) == tiny_speech.BINS
    assert levels.min() == 0 and levels.max() == 63
    assert len(levels) in frames and drawn["seconds"] == 0.01
    weights = np.array(example["weights"])
    assert weights.shape == (len(example["target"]), -(-len(levels) // 4))
    assert (drawn["frames"], drawn["start"]) == (4, 0)
  # As a cell keeps it and a table reads it.
  stored = json.loads(json.dumps(examples))
  records.decode(list[results.Attention], stored, "x")
