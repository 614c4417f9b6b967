"""Cases of broken text, archives and data files."""

import functools
import pathlib
import random
from collections.abc import Iterator

from tests.monkey import base, spoil
from tests.monkey.case import ACCEPTED, EITHER, REFUSED, Case

TRAIN = ("--workdir", "new")
WRITES = ("new", "new/*")
# config: the files that it reads
READ = {
  "words.py": ("train.de", "train.en", "valid.de", "test.en"),
  "bpe.py": ("train.tsv", "valid.tsv"),
  "jsonl.py": ("train.jsonl", "valid.jsonl", "test.jsonl"),
  "lm.py": ("train.en", "valid.en"),
}
# Text that is broken in these ways may still be text.
MAYBE = ("half", "a bit", "a hole", "doubled", "zipped", "a web page", "utf-16")
ALONE = {"half", "a bit", "doubled"}  # accepted where lines need no partner


def _break(
  file: str, how: str, seed: str
) -> functools.partial[pathlib.Path | None]:
  return functools.partial(_apply, file=file, how=how, seed=seed)


def _apply(
  folder: pathlib.Path, *, file: str, how: str, seed: str
) -> pathlib.Path | None:
  rng = random.Random(seed)
  return spoil.apply(how, base.find(folder, file, rng), rng)


def _expected(how: str) -> str:
  return EITHER if how in MAYBE else REFUSED


def training(rng: random.Random) -> Iterator[Case]:
  """Data files of `train`, each broken in some of all ways."""
  for config, files in READ.items():
    for file in files:
      ways = [*spoil.ALL]
      if file.endswith(".jsonl"):
        ways += [*spoil.SHAPES]
      split = file.partition(".")[0]
      for how in rng.sample(ways, 7 if split == "train" else 4):
        name = f"{config} {file} {how}"
        expect = _expected(how)
        if how in ("a wrong value", "another wrong value", "a new key"):
          expect = EITHER
        if split == "test" and how in spoil.ALL:
          expect = EITHER
        yield Case(
          name=name,
          kind="data",
          module="train",
          words=(config, *TRAIN),
          needs=("data",),
          spoil=_break(f"data/{file}", how, name),
          expect=expect,
          mentions=(file,),
          may_change=WRITES,
        )


def gzipped(rng: random.Random) -> Iterator[Case]:
  """Gzipped training files that end early, hold garbage, or unfold for ever."""
  for how in ("half", "garbage", "a hole", "a web page", "empty", "doubled"):
    yield Case(
      name=f"train.de.gz {how}",
      kind="data",
      module="train",
      words=("words.py", *TRAIN, "--data.train", "train.de.gz", "train.en"),
      needs=("data",),
      spoil=_break("data/train.de.gz", how, how),
      expect=REFUSED,
      mentions=("train.de.gz",),
      may_change=WRITES,
    )
  del rng


def _write(folder: pathlib.Path, *, file: str, content: bytes) -> None:
  (folder / file).write_bytes(content)


TEXTS = {
  "NULs": b"hund\0 sieht\n" * 12,
  "carriage returns": b"der hund\rsieht\rkatze\r\n" * 12,
  "a line of 3,000 words": b"hund " * 3000 + b"\n" + b"hund\n" * 11,
  "a word of a million letters": b"h" * 10**6 + b"\n" + b"hund\n" * 11,
  "blank lines": b"\n  \n\t\n" * 4,
  "one byte": b"\xc3" * 12,
  "surrogates": b"\xed\xa0\x80 hund\n" * 12,
  "special names": b"<s> <pad> </s> <unk> hund\n" * 12,
  "controls": bytes(range(1, 32)).replace(b"\n", b"") + b"\n" + b"hund\n" * 11,
  "separators": "hund\u2028sieht\x85katze\x0cball\n".encode() * 12,
  "utf-16": ("hund sieht ball\n" * 12).encode("utf-16"),
  "utf-32": ("hund sieht ball\n" * 12).encode("utf-32"),
  "no last newline": b"hund\n" * 11 + b"hund",
  "signature": b"\xef\xbb\xbf" + b"hund\n" * 12,
  "eleven lines": b"hund\n" * 11,
  "thirteen lines": b"hund\n" * 13,
  "nothing": b"",
  "emoji": "🐕‍🦺 sieht 👩‍👩‍👧 é é\n".encode() * 12,
}
NOT_TEXT = ("one byte", "surrogates", "utf-16", "utf-32")


def texts(rng: random.Random) -> Iterator[Case]:
  """Sources of `decode` and `evaluate` that are odd or no text at all."""
  other = ("eleven lines", "thirteen lines", "nothing", "one byte")
  for how, content in TEXTS.items():
    expect = REFUSED if how in NOT_TEXT else ACCEPTED
    expect = EITHER if how == "NULs" else expect
    write = functools.partial(_write, file="odd.de", content=content)
    yield Case(
      name=f"odd.de {how}",
      kind="texts",
      module="decode",
      words=("--workdir", "run", "--input", "odd.de", "--output", "out.txt"),
      needs=("run",),
      spoil=write,
      expect=expect,
      mentions=("odd.de",),
      may_change=("out.txt",),
    )
    where = rng.choice(("stdin", "source", "reference"))
    words: tuple[str, ...] = ("--workdir", "run")
    module = "decode" if where == "stdin" else "evaluate"
    if where == "source":
      words += ("--source", "odd.de", "--reference", "data/test.en")
    elif where == "reference":
      words += ("--source", "data/test.de", "--reference", "odd.de")
    if module == "evaluate" and how in other:
      expect = REFUSED
    elif module == "evaluate":
      expect = expect if expect == REFUSED else EITHER
    yield Case(
      name=f"{where} {how}",
      kind="texts",
      module=module,
      words=words,
      needs=("run", "data"),
      spoil=write,
      expect=expect,
      stdin=content if where == "stdin" else "null",
      mentions=("standard input", "odd.de", "test."),
    )


def sources(rng: random.Random) -> Iterator[Case]:
  """Files that `decode` and `evaluate` are given, replaced or broken."""
  for how in spoil.ALL:
    expect = EITHER if how in (*MAYBE, "empty", "nothing's device") else REFUSED
    module = rng.choice(("decode", "evaluate"))
    words = ("--workdir", "run")
    if module == "decode":
      words += ("--input", "data/test.de")
    else:
      words += ("--source", "data/test.de", "--reference", "data/test.en")
    yield Case(
      name=f"test.de {how}",
      kind="texts",
      module=module,
      words=words,
      needs=("run", "data"),
      spoil=_break("data/test.de", how, f"{module} {how}"),
      expect=expect,
      mentions=("test.de",),
    )


def alignment(rng: random.Random) -> Iterator[Case]:
  """What `analysis.alignment` reads."""
  ways = [(w, "out.jsonl") for w in (*spoil.ALL, *spoil.SHAPES)]
  ways += [(w, "links.txt") for w in spoil.ALL]
  maybe = ("a bit", "a wrong value", "another wrong value", "a new key", "half")
  for how, file in ways:
    by_links = file == "links.txt" or rng.random() < 0.5
    known = (
      ("--links", "aligned/links.txt") if by_links else ("--order", "copy")
    )
    expect = EITHER if how in (*maybe, "doubled", "a lost key") else REFUSED
    yield Case(
      name=f"{file} {how}",
      kind="alignment",
      module="analysis.alignment",
      words=("aligned/out.jsonl", *known),
      needs=("aligned",),
      spoil=_break(f"aligned/{file}", how, f"{file} {how}"),
      expect=expect,
      mentions=("out.jsonl", "links.txt"),
    )


def lists(rng: random.Random) -> Iterator[Case]:
  """What `rescore` reads."""
  ways = [(w, "n.jsonl") for w in (*spoil.ALL, *spoil.SHAPES)]
  ways += [(w, "ref.txt") for w in spoil.ALL]
  maybe = ("a bit", "a wrong value", "another wrong value", "a new key", "half")
  for how, file in ways:
    may = how in (*maybe, "doubled", "a lost key")
    yield Case(
      name=f"{file} {how}",
      kind="n-best lists",
      module="rescore",
      words=("lists/n.jsonl", "--reference", "lists/ref.txt"),
      needs=("lists",),
      spoil=_break(f"lists/{file}", how, f"{file} {how}"),
      expect=EITHER if may else REFUSED,
      mentions=("n.jsonl", "ref.txt"),
    )


def arrays(rng: random.Random) -> Iterator[Case]:
  """Archives of arrays from which a run would begin."""
  for how in spoil.ALL:
    yield Case(
      name=f"init.npz {how}",
      kind="arrays",
      module="train",
      words=("words.py", *TRAIN, "--train.init_from", "arrays/init.npz"),
      needs=("data", "arrays"),
      spoil=_break("arrays/init.npz", how, how),
      expect=EITHER if how in ("a bit", "a hole") else REFUSED,
      mentions=("init.npz",),
      may_change=WRITES,
    )
  for how in ODD_ARRAYS:
    yield Case(
      name=f"init.npz of {how}",
      kind="arrays",
      module="train",
      words=("words.py", *TRAIN, "--train.init_from", "arrays/init.npz"),
      needs=("data", "arrays"),
      spoil=functools.partial(_odd_arrays, how=how),
      expect=REFUSED,
      mentions=("init.npz",),
      may_change=WRITES,
    )
  del rng


ODD_ARRAYS = ("objects", "nothing", "texts", "nan", "other names", "scalars")


def _odd_arrays(folder: pathlib.Path, *, how: str) -> None:
  import numpy as np

  made = {
    "objects": {"params/encoder": np.array([{"a": 1}], dtype=object)},
    "nothing": {},
    "texts": {"params/encoder": np.array(["a", "b"])},
    "nan": {"source_embed/embedding": np.full((4, 8), np.nan)},
    "other names": {"not/of/this/model": np.zeros(3)},
    "scalars": {"": np.float32(3)},
  }
  np.savez(folder / "arrays" / "init.npz", **made[how])


def all_cases(rng: random.Random) -> Iterator[Case]:
  """All of this module."""
  for make in (training, gzipped, texts, sources, alignment, arrays, lists):
    yield from make(rng)
