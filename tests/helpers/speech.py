"""A few utterances of noise, their manifests, and a config that reads them."""

import json

import numpy as np

from seq2seq_jax import config

RATE = 8000


def write_manifest(folder, name, rows):
  """A manifest of noise; `rows` are (id, samples, text)."""
  import soundfile

  rng = np.random.default_rng(len(rows))
  folder.mkdir(exist_ok=True)
  lines = []
  for key, samples, text in rows:
    signal = 0.1 * rng.standard_normal(samples)
    soundfile.write(folder / f"{key}.wav", signal, RATE)
    lines.append(
      {"id": key, "audio": f"{key}.wav", "text": text, "samples": samples}
    )
  path = folder / name
  path.write_text("".join(json.dumps(line) + "\n" for line in lines))
  return path


def write_splits(folder):
  """Manifests of six utterances and a mute one, and of one for validation."""
  rows = [
    (f"u{n}", 800 + 400 * n, "one two"[: 3 + 4 * (n % 2)]) for n in range(6)
  ]
  write_manifest(folder, "train.jsonl", [*rows, ("mute", 900, "")])
  write_manifest(folder, "valid.jsonl", [("v", 1200, "two")])
  return folder


def data(folder, **audio):
  """A config's section of data that reads them; `audio` are its fields."""
  return config.Data(
    task="audio",
    root=str(folder),
    train=("train.jsonl",),
    valid=("valid.jsonl",),
    audio=config.Audio(rate=RATE, bins=8, **audio),
    batch_size=8,
    buckets=1,
  )
