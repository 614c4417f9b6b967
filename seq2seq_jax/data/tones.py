"""A language of tones: speech that is made on the spot, without any data.

A phone is two tones at once, a low one of three and a high one of four, so that
there are twelve. A word is one to three phones and is written as their names; a
sentence is words with short pauses between them. Speakers differ in pitch, in
tempo and in the size of their voice, which shifts all tones; the speakers of a
split are its own. NumPy alone.

    python -m seq2seq_jax.data.tones --out DIR [--split test] [--utterances 20]

writes sentences as WAV files with a manifest, to listen to, to decode, or to
train on as on recordings: what is read from them is what was made, to the bit.
"""

import argparse
import dataclasses
import itertools
import os
import pathlib
import wave
import zlib

import numpy as np
from jaxtyping import Float, Int16

from seq2seq_jax import exits, types
from seq2seq_jax.data import audio, manifest

PHONES = (
  "ba",
  "di",
  "fe",
  "go",
  "hu",
  "ka",
  "li",
  "me",
  "no",
  "ru",
  "sa",
  "ti",
)
PAUSE = -1  # among phones
SPLITS = ("train", "valid", "test")

LOWEST_RATE = 8000  # samples a second; the highest tone is below half of it
_LOW = (350.0, 550.0, 850.0)  # Hz
_HIGH = (1300.0, 1800.0, 2500.0, 3400.0)
_LONGEST = 3  # phones of a word
_MOST = 10**6  # of what is counted by a flag
_SPEAKERS = 20  # of a split
_PITCH = (90.0, 240.0)  # Hz
_SIZE = (0.9, 1.12)  # factor of all tones, less than half the way to the next
_TEMPO = (0.85, 1.2)  # factor of durations
_PHONE = (0.06, 0.11)  # seconds
_BETWEEN = (0.04, 0.1)
_AROUND = (0.05, 0.15)
_ATTACK = 0.01
_SLIDE = 0.04  # of a tone's frequency, within a phone
_NOISE = (0.003, 0.02)  # deviation; a tone's amplitude is about .15


@dataclasses.dataclass(frozen=True)
class Sentence(audio.Made):
  """A spoken sentence; all that its samples depend on.

  Attributes:
    pieces: phones, or PAUSE, with their samples.
    pitch: Hz.
    size: factor of all tones.
    noise: deviation of the noise over the whole.
    key: seed of phases, loudness and noise.
  """

  pieces: tuple[tuple[int, int], ...] = ()
  pitch: float = 0.0
  size: float = 1.0
  noise: float = 0.0
  key: tuple[int, ...] = ()

  def whole_numbers(self) -> Int16[np.ndarray, " N"]:
    """The samples as 16-bit integers."""
    rng = np.random.default_rng(self.key)
    parts = [
      np.zeros(n) if phone == PAUSE else self._phone(phone, n, rng)
      for phone, n in self.pieces
    ]
    signal = np.concatenate(parts)
    signal += self.noise * rng.standard_normal(len(signal))
    return np.round(32767.0 * np.clip(signal, -1.0, 1.0)).astype(np.int16)

  def signal(self) -> Float[np.ndarray, " N"]:
    return self.whole_numbers().astype(np.float32) / np.float32(32768.0)

  def _phone(
    self, phone: int, samples: int, rng: np.random.Generator
  ) -> Float[np.ndarray, " M"]:
    """Two tones that slide a little and beat at the speaker's pitch."""
    seconds = np.arange(samples) / self.rate
    share = seconds / seconds[-1]
    high, low = divmod(phone, len(_LOW))
    out = np.zeros(samples)
    for tone in (_LOW[low], _HIGH[high]):
      loudness = 0.15 * rng.uniform(0.6, 1.4)
      # The integral of a frequency that moves by `slide` from start to end.
      slide = rng.uniform(-_SLIDE, _SLIDE)
      turns = self.size * tone * seconds * (1.0 + slide * (share - 1.0) / 2)
      out += loudness * np.sin(2.0 * np.pi * (turns + rng.uniform()))
    out *= 0.7 + 0.3 * np.sin(2.0 * np.pi * self.pitch * seconds)
    nearest = np.minimum(seconds, seconds[::-1])  # of the two ends
    return out * np.sin(np.pi / 2 * np.minimum(nearest / _ATTACK, 1.0)) ** 2


def words(count: int, seed: int) -> list[tuple[int, ...]]:
  """The phones of `count` different words, short and long in turn.

  Raises:
    types.UserError: there are not so many.
  """
  rng = np.random.default_rng((seed, zlib.crc32(b"tones words")))
  pools = []
  for length in range(1, _LONGEST + 1):
    pool = list(itertools.product(range(len(PHONES)), repeat=length))
    pools.append([pool[i] for i in rng.permutation(len(pool))])
  if count > (most := sum(map(len, pools))):
    raise types.UserError(
      f"data.synthetic.symbols: the language of tones has {most:,} words, not "
      f"{count:,}"
    )
  turns = itertools.chain.from_iterable(itertools.zip_longest(*pools))
  return list(itertools.islice(filter(None, turns), count))


def spelling(word: tuple[int, ...]) -> str:
  """A word as it is written."""
  return "".join(PHONES[phone] for phone in word)


def pairs(
  split: str,
  size: int,
  min_length: int,
  max_length: int,
  symbols: int,
  seed: int,
  rate: int,
) -> list[tuple[Sentence, str]]:
  """`size` spoken sentences with their texts.

  The i-th depends on all arguments but `size`.

  Args:
    split: train, valid or test; each has speakers of its own.
    size: number of sentences.
    min_length: of a sentence, in words; lengths are uniform.
    max_length: of a sentence, in words.
    symbols: different words, all equally frequent.
    seed: of words, speakers and sentences.
    rate: samples a second.

  Raises:
    types.UserError: there are not so many words, or the rate is too low.
  """
  if rate < LOWEST_RATE:
    raise types.UserError(
      f"data.audio.rate: the language of tones needs {LOWEST_RATE} samples a "
      f"second or more, not {rate}"
    )
  vocabulary = words(symbols, seed)
  name = zlib.crc32(f"tones {split}".encode())
  out = []
  for i in range(size):
    key = (seed, name, i)
    rng = np.random.default_rng(key)
    length = rng.integers(min_length, max_length + 1)
    said = [vocabulary[w] for w in rng.integers(symbols, size=length)]
    speaker = int(rng.integers(_SPEAKERS))
    voice = np.random.default_rng((seed, name, speaker, 0))
    pitch, of_tones, tempo = (
      float(voice.uniform(*r)) for r in (_PITCH, _SIZE, _TEMPO)
    )
    pieces = _pieces(said, rate * tempo, rng)
    sentence = Sentence(
      id=f"tones-{split}-{i:05d}",
      audio="",
      text=" ".join(spelling(word) for word in said),
      samples=sum(n for _, n in pieces),
      speaker=f"{split}-{speaker}",
      rate=rate,
      pieces=pieces,
      pitch=pitch,
      size=of_tones,
      noise=float(rng.uniform(*_NOISE)),
      key=(*key, 1),
    )
    out.append((sentence, sentence.text))
  return out


def _pieces(
  said: list[tuple[int, ...]], rate: float, rng: np.random.Generator
) -> tuple[tuple[int, int], ...]:
  """Phones and pauses of a sentence, with their samples."""

  def samples(seconds: tuple[float, float]) -> int:
    return int(rate * rng.uniform(*seconds))

  pieces = [(PAUSE, samples(_AROUND))]
  for n, word in enumerate(said):
    if n:
      pieces.append((PAUSE, samples(_BETWEEN)))
    pieces += [(phone, samples(_PHONE)) for phone in word]
  return (*pieces, (PAUSE, samples(_AROUND)))


def write(folder: pathlib.Path, name: str, sentences: list[Sentence]) -> None:
  """Writes sentences as WAV files and a manifest, `NAME.jsonl`.

  Raises:
    types.UserError: the manifest or its folder exists, or cannot be made.
  """
  path, files = folder / f"{name}.jsonl", folder / name
  for taken in (path, files):
    if os.path.lexists(taken):
      raise types.UserError(
        f"{taken} exists; choose another folder with --out, or remove it"
      )
  try:
    files.mkdir(parents=True)
    for sentence in sentences:
      with wave.open(os.fspath(files / f"{sentence.id}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sentence.rate)
        file.writeframes(sentence.whole_numbers().astype("<i2").tobytes())
  except OSError as e:
    raise types.UserError(f"{files}: cannot be written: {e.strerror}") from e
  manifest.write(
    path,
    (
      {
        "id": sentence.id,
        "audio": f"{name}/{sentence.id}.wav",
        "text": sentence.text,
        "samples": sentence.samples,
        "speaker": sentence.speaker,
      }
      for sentence in sentences
    ),
  )


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.data.tones",
    description="Writes sentences of a language of tones, made on the spot: "
    "WAV files in DIR/SPLIT, and the manifest DIR/SPLIT.jsonl.",
  )
  parser.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR")
  parser.add_argument("--split", choices=SPLITS, default="test")
  for name, (default, text) in _NUMBERS.items():
    parser.add_argument(
      f"--{name}",
      type=int,
      default=default,
      metavar="N",
      help=f"{text} (default: {default})",
    )
  return parser


# From a flag to its default and what it says, as in configs/tones.py.
_NUMBERS = {
  "utterances": (20, "sentences to write"),
  "min-length": (1, "words of the shortest sentence"),
  "max-length": (6, "words of the longest"),
  "words": (20, "different words"),
  "seed": (0, "of words, speakers and sentences; a config's data.seed"),
  "rate": (LOWEST_RATE, "samples a second"),
}


def main() -> int:
  """Runs the command of `sys.argv`; returns the exit code."""
  args = _parser().parse_args()
  for name in _NUMBERS:
    value = getattr(args, name.replace("-", "_"))
    lowest = 0 if name == "seed" else 1
    if not lowest <= value <= _MOST:
      raise types.UserError(f"--{name} {value} is not in {lowest}..{_MOST}")
  if args.min_length > args.max_length:
    raise types.UserError(
      f"--min-length {args.min_length} is above --max-length {args.max_length}"
    )
  examples = pairs(
    args.split,
    size=args.utterances,
    min_length=args.min_length,
    max_length=args.max_length,
    symbols=args.words,
    seed=args.seed,
    rate=args.rate,
  )
  write(args.out, args.split, [sentence for sentence, _ in examples])
  print(f"{args.out / args.split}.jsonl: {len(examples):,} utterances")
  return 0


if __name__ == "__main__":
  exits.run(main)
