"""From the folder of an audio data set to the lines of its manifests."""

import csv
import gzip
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from seq2seq_jax import types
from seq2seq_jax.data import audio

Line = dict[str, Any]
# From a data set's folder to the lines of each part.
Maker = Callable[[pathlib.Path], dict[str, list[Line]]]
SHORT = 4  # digits of the longest short string


def an4(folder: pathlib.Path) -> dict[str, list[Line]]:
  """CMU AN4 as an4.tar with utts.tsv.gz: parts train, dev and test."""
  parts: dict[str, list[Line]] = {}
  archive = _existing(folder / "an4.tar")
  for row in _rows(folder / "utts.tsv.gz", "split utt_id path samples text"):
    line = {
      "id": row["utt_id"],
      "audio": f"{archive}#{row['path']}",
      "text": row["text"],
      "samples": _number(row["samples"], folder / "utts.tsv.gz"),
      "speaker": row["speaker"],
    }
    parts.setdefault(row["split"], []).append(line)
  return parts


def fsdd(folder: pathlib.Path) -> dict[str, list[Line]]:
  """Free Spoken Digits as strings of digits: train, dev, test and test_long.

  Strings of one to seven digits, and of eight to twelve in test_long. Those of
  at most four stand in train_short, dev_short and test_short once more, for
  experiments on strings longer than any trained on.
  """
  archive = _existing(folder / "fsdd.tar")
  table = folder / "recordings.tsv.gz"
  lengths = {
    pathlib.PurePosixPath(row["path"]).stem: _number(row["samples"], table)
    for row in _rows(table, "path samples")
  }
  parts: dict[str, list[Line]] = {}
  for part in ("train", "dev", "test", "test_long"):
    strings = folder / f"strings.{part}.tsv.gz"
    columns = "utt_id speaker recordings gap_samples text"
    lines = parts[part] = []
    for row in _rows(strings, columns):
      names = row["recordings"].split()
      gaps = [_number(gap, strings) for gap in row["gap_samples"].split()]
      for name in names:
        if name not in lengths:
          raise types.UserError(f"{strings}: {name} is not in {table}")
      line = {
        "id": row["utt_id"],
        "parts": [f"{archive}#flac/{name}.flac" for name in names],
        "gaps": gaps,
        "text": row["text"],
        "samples": sum(gaps) + sum(lengths[name] for name in names),
        "speaker": row["speaker"],
      }
      lines.append(line)
  for part in ("train", "dev", "test"):
    parts[f"{part}_short"] = [
      line for line in parts[part] if len(line["parts"]) <= SHORT
    ]
  return parts


def librispeech(folder: pathlib.Path) -> dict[str, list[Line]]:
  """LibriSpeech's folders SUBSET/SPEAKER/CHAPTER: a part for each subset."""
  parts: dict[str, list[Line]] = {}
  for path in sorted(folder.glob("*/*/*/*.trans.txt")):
    subset, speaker = path.parts[-4], path.parts[-3]
    lines = parts.setdefault(subset, [])
    for number, text in _lines(path):
      name, _, words = text.partition(" ")
      file = _existing(path.parent / f"{name}.flac")
      if not words.strip():
        raise types.UserError(f"{path}, line {number}: has no words")
      line = {
        "id": name,
        "audio": str(file),
        "text": words.strip(),
        "samples": audio.length(file),
        "speaker": speaker,
      }
      lines.append(line)
  if not parts:
    raise types.UserError(
      f"{folder}: has no files SUBSET/SPEAKER/CHAPTER/*.trans.txt; name the "
      "folder that holds train-clean-100 and the others"
    )
  return parts


def kaldi(folder: pathlib.Path) -> dict[str, list[Line]]:
  """A Kaldi data folder with wav.scp and text, segments, utt2spk."""
  recordings = _table(folder / "wav.scp")
  for name, value in recordings.items():
    if value.endswith("|"):
      raise types.UserError(
        f"{folder / 'wav.scp'}: {name} is the output of a command, which "
        "cannot be read here; write it to a file first"
      )
  texts = _table(folder / "text")
  speakers = _optional_table(folder / "utt2spk")
  segments = _optional_table(folder / "segments")
  lines = []
  for name, text in texts.items():
    recording, place = _segment(segments, name, folder / "segments")
    if recording not in recordings:
      raise types.UserError(f"{folder / 'wav.scp'}: lacks {recording}")
    path = pathlib.Path(recordings[recording]).absolute()
    line = {"id": name, "audio": str(path), "text": text, **place}
    if name in speakers:
      line["speaker"] = speakers[name]
    lines.append(line)
  return {folder.absolute().name: lines}


MAKERS: dict[str, Maker] = {
  "an4": an4,
  "fsdd": fsdd,
  "librispeech": librispeech,
  "kaldi": kaldi,
}


def _segment(
  segments: dict[str, str], name: str, path: pathlib.Path
) -> tuple[str, Line]:
  """The recording of a segment, and where it lies in it in seconds.

  Without segments each utterance is the whole recording of its name.
  """
  if not segments:
    return name, {}
  try:
    recording, start, end = segments[name].split()
    offset, duration = float(start), float(end) - float(start)
  except (KeyError, ValueError) as e:
    raise types.UserError(
      f"{path}: {name} is not RECORDING START END in seconds"
    ) from e
  return recording, {"offset": offset, "duration": round(duration, 6)}


def _existing(path: pathlib.Path) -> pathlib.Path:
  """The absolute path of a file that is there."""
  if not path.is_file():
    raise types.UserError(f"{path}: no such file")
  return path.absolute()


def _number(text: str, path: pathlib.Path) -> int:
  if not (text.isascii() and text.isdigit()):
    raise types.UserError(f"{path}: {text!r} is no number of samples")
  return int(text)


def _rows(path: pathlib.Path, columns: str) -> Iterator[dict[str, str]]:
  """Rows of a gzipped TSV file with a header, which has these columns."""
  _existing(path)
  try:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
      rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
      missing = set(columns.split()) - set(rows.fieldnames or ())
      if missing:
        raise types.UserError(f"{path}: lacks the column {min(missing)}")
      for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
          raise types.UserError(
            f"{path}, line {number}: has another number of columns than line 1"
          )
        yield row
  except (OSError, EOFError, ValueError, csv.Error) as e:
    raise types.UserError(f"{path}: cannot read: {e}") from e


def _lines(path: pathlib.Path) -> Iterator[tuple[int, str]]:
  """The lines of a text file that are not blank, with their numbers."""
  try:
    text = path.read_text(encoding="utf-8")
  except (OSError, ValueError) as e:
    raise types.UserError(f"{path}: cannot read: {e}") from e
  for number, line in enumerate(text.split("\n"), 1):
    if line.strip():
      yield number, line.strip()


def _table(path: pathlib.Path) -> dict[str, str]:
  """The rest of each line by its first word; what is named twice is refused."""
  table: dict[str, str] = {}
  for number, line in _lines(path):
    name, _, rest = line.partition(" ")
    if name in table:
      raise types.UserError(f"{path}, line {number}: {name} is there twice")
    table[name] = rest.strip()
  return table


def _optional_table(path: pathlib.Path) -> dict[str, str]:
  return _table(path) if path.exists() else {}
