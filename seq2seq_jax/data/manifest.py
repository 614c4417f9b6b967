"""Makes manifests of audio data sets, and checks them.

    python -m seq2seq_jax.data.manifest an4|fsdd|librispeech|kaldi DIR --out DIR
    python -m seq2seq_jax.data.manifest check MANIFEST [--rate 16000]
    python -m seq2seq_jax.data.manifest text MANIFEST

`check` decodes every file and names each bad one; `text` prints what is said,
an utterance a line, as language models are trained on. See `data/audio.py` for
what a manifest holds.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Iterable
from typing import Any

from seq2seq_jax import exits, types
from seq2seq_jax.data import audio, features, manifest_makers

Line = dict[str, Any]


def write(path: pathlib.Path, lines: Iterable[Line]) -> int:
  """Writes a new manifest; returns the number of its utterances.

  Raises:
    types.UserError: the file exists.
  """
  text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
  try:
    with path.open("x", encoding="utf-8", newline="\n") as file:
      file.write(text)
  except FileExistsError as e:
    raise _taken(path) from e
  return text.count("\n")


def _taken(path: pathlib.Path) -> types.UserError:
  return types.UserError(
    f"{path} exists; choose another folder with --out, or remove it"
  )


def make(kind: str, folder: pathlib.Path, out: pathlib.Path) -> None:
  """Writes the manifests of a data set, one a part, and prints their names.

  Args:
    kind: a key of `manifest_makers.MAKERS`.
    folder: of the data set.
    out: where the manifests go; it is made.

  Raises:
    types.UserError: the data is not there, or a manifest would be overwritten.
  """
  if not folder.is_dir():
    raise types.UserError(f"{folder}: is no folder")
  parts = manifest_makers.MAKERS[kind](folder)
  paths = {part: out / f"{part}.jsonl" for part in parts}
  for path in paths.values():
    if os.path.lexists(path):  # before any of them is written
      raise _taken(path)
  out.mkdir(parents=True, exist_ok=True)
  for part, path in paths.items():
    print(f"{path}: {write(path, parts[part]):,} utterances")


def check(
  reader: audio.Reader, path: pathlib.Path, mel: features.LogMel
) -> int:
  """Decodes every utterance of a manifest; prints and counts the bad ones.

  Args:
    reader: of files.
    path: of the manifest.
    mel: an utterance of no frame is bad.
  """
  utterances = audio.read_manifest(path)
  bad = samples = 0
  for utterance in utterances:
    try:
      found = len(reader.read(utterance))
      if not mel.frames(found):
        raise types.Unreadable(
          f"{audio.place_of(utterance)}: has {found:,} samples, fewer than a "
          f"frame of {mel.frame_length}"
        )
      samples += found
    except types.UserError as e:
      bad += 1
      print(e)
  hours = samples / reader.rate / 3600
  print(
    f"{path}: {len(utterances) - bad:,} of {len(utterances):,} utterances are "
    f"good, {hours:.2f} hours"
  )
  return bad


def texts(path: pathlib.Path) -> list[str]:
  """What is said in the utterances of a manifest that say it.

  Raises:
    types.UserError: none does.
  """
  found = [u.text for u in audio.read_manifest(path) if u.text]
  if not found:
    raise types.UserError(f"{path}: no line has a 'text'")
  return found


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.data.manifest",
    description="Makes manifests of audio data sets, and checks them.",
  )
  commands = parser.add_subparsers(dest="command", required=True)
  for kind, maker in manifest_makers.MAKERS.items():
    text = (maker.__doc__ or "").split("\n")[0]
    command = commands.add_parser(kind, help=text, description=text)
    command.add_argument("folder", type=pathlib.Path, metavar="DIR")
    command.add_argument(
      "--out",
      type=pathlib.Path,
      default=pathlib.Path(),
      metavar="DIR",
      help="where the manifests go (default: here)",
    )
  text = "Decodes every file of a manifest and names the bad ones."
  command = commands.add_parser("check", help=text, description=text)
  command.add_argument("manifest", type=pathlib.Path, metavar="MANIFEST")
  command.add_argument("--rate", type=int, default=16000, metavar="HZ")
  command.add_argument("--resample", action="store_true")
  command.add_argument("--channel", type=int, metavar="N")
  command.add_argument(
    "--window-ms",
    type=float,
    default=25.0,
    metavar="MS",
    help="length of a frame; shorter utterances are bad (default: 25)",
  )
  text = "Prints what is said in a manifest's utterances, a line each."
  command = commands.add_parser("text", help=text, description=text)
  command.add_argument("manifest", type=pathlib.Path, metavar="MANIFEST")
  return parser


def main() -> int:
  """Runs the command of `sys.argv`; returns the exit code."""
  args = _parser().parse_args()
  if args.command == "text":
    print("\n".join(texts(args.manifest)))
    return 0
  if args.command != "check":
    make(args.command, args.folder, args.out)
    return 0
  if not 100 <= args.rate <= 1_000_000:
    raise types.UserError(f"--rate {args.rate} is not in 100..1000000")
  if args.channel is not None and args.channel < 0:
    raise types.UserError(f"--channel {args.channel} is negative")
  if not 1 <= args.window_ms <= 1000:
    raise types.UserError(f"--window-ms {args.window_ms:g} is not in 1..1000")
  reader = audio.Reader(args.rate, args.resample, args.channel)
  mel = features.LogMel(args.rate, window_ms=args.window_ms)
  bad = check(reader, args.manifest, mel)
  if bad:
    print(f"error: {bad:,} utterances cannot be used", file=sys.stderr)
  return exits.BAD_USAGE if bad else 0


if __name__ == "__main__":
  exits.run(main)
