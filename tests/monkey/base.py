"""What cases are given: small data sets, trained runs, a table, once a session.

Each part is made when the first case needs it, by the commands themselves.
"""

import gzip
import json
import os
import pathlib
import random
import shutil

import numpy as np

from tests.helpers import nbest_lists
from tests.monkey import case as case_lib

TEXT = """
hund dog katze cat baum tree haus house kind child mann man frau woman ball ball
see lake berg mountain sieht sees mag likes ruft calls malt paints sucht seeks
"""
WORDS = TEXT.split()
ENGLISH = dict(zip(WORDS[::2], WORDS[1::2]))
NOUNS, VERBS = WORDS[:20:2], WORDS[20::2]

CONFIG = """
from seq2seq_jax import config

def get_config():
  return config.Config(
    data=config.Data(
      {data}
      batch_size=16, buckets=1, max_source_length=30, max_target_length=30,
    ),
    model=config.Model(
      embed_dim=8,
      encoder=config.Encoder(dim=8),
      decoder=config.Decoder(dim=16),
      attention=config.Attention(score={score!r}),
      readout=config.Readout(dim=8),
      {model}
    ),
    optim=config.Optim(learning_rate=1e-2),
    train=config.Train(
      steps=4, validate_every=2, log_every=1, keep_last=2, average=2,
      checkpoint_minutes=0, metric="loss",
    ),
    decode=config.Decode(beam_size=2, batch_rows=8, max_extra=4),
  )
"""


def _files(task: str, ends: tuple[str, ...]) -> str:
  lists = [
    f"{split}=({''.join(f'{split + end!r}, ' for end in ends)}),"
    for split in ("train", "valid", "test")
  ]
  return f'task="{task}", root="data", {" ".join(lists)}'


SMALL = "synthetic=config.Synthetic(train=64, valid=8, test=8, max_length=5),"
CONFIGS = {
  "words": (_files("parallel", (".de", ".en")), 'head="pointer",'),
  "bpe": (
    _files("tsv", (".tsv",))
    + 'joint=True, source=config.Text(tokenizer="bpe", vocab_size=60),',
    "",
  ),
  "jsonl": (
    _files("jsonl", (".jsonl",))
    + 'source_field="de", target_field="en", '
    + 'target=config.Text(tokenizer="char"),',
    "",
  ),
  "lm": (_files("language_model", (".en",)), ""),
  "copying": (f'task="copy", {SMALL}', ""),
}

TABLE = """
from seq2seq_jax import config
from seq2seq_jax.ablation import orderings, suite

def get_ablation():
  return suite.Ablation(
    title="Small", paper="of nobody", base="copying.py",
    rows=(
      suite.Row("attention"),
      suite.Row("greedy", "--decode.beam_size 1"),
      suite.Row("fixed", "--model.attention.score none "
        "--model.decoder.input_feeding False"),
    ),
    metric="exact_match", metrics=("loss",), reference="fixed",
    scales={"small": ("--train.steps", "4")}, scale="small", bins=(2, 4),
    orderings=(orderings.above("attention", "fixed", by=5),),
  )
"""


def _sentences(count: int, seed: int) -> list[tuple[str, str]]:
  rng = random.Random(seed)
  pairs = []
  for _ in range(count):
    words = [rng.choice(NOUNS), rng.choice(VERBS), rng.choice(NOUNS)]
    words += rng.choices(NOUNS, k=rng.randrange(3))
    pairs.append((" ".join(words), " ".join(ENGLISH[w] for w in words)))
  return pairs


def write_data(folder: pathlib.Path) -> None:
  """Writes the same sentences in all forms that tasks read."""
  folder.mkdir()
  for seed, (split, count) in enumerate(
    {"train": 120, "valid": 12, "test": 12}.items()
  ):
    pairs = _sentences(count, seed)
    de = "".join(f"{a}\n" for a, _ in pairs)
    en = "".join(f"{b}\n" for _, b in pairs)
    (folder / f"{split}.de").write_text(de)
    (folder / f"{split}.en").write_text(en)
    (folder / f"{split}.de.gz").write_bytes(gzip.compress(de.encode()))
    tsv = "".join(f"{a}\t{b}\n" for a, b in pairs)
    (folder / f"{split}.tsv").write_text(tsv)
    rows = (json.dumps({"de": a, "en": b}) + "\n" for a, b in pairs)
    (folder / f"{split}.jsonl").write_text("".join(rows))


def write_attention(folder: pathlib.Path) -> None:
  """Writes what `decode --attention` writes, and links of its sentences."""
  folder.mkdir()
  rng = np.random.default_rng(0)
  lines, links = [], []
  for a, b in _sentences(6, 9):
    n = len(a.split()) + 1
    weights = rng.dirichlet(np.ones(n), n).round(4).tolist()
    hypothesis = {"text": b, "score": -1.5, "attention": weights}
    lines.append(json.dumps({"source": a, "hypotheses": [hypothesis]}))
    links.append(" ".join(f"{i}-{i}" for i in range(n)))
  (folder / "out.jsonl").write_text("\n".join(lines) + "\n")
  (folder / "links.txt").write_text("\n".join(links) + "\n")


def write_lists(folder: pathlib.Path) -> None:
  """Writes n-best lists with their parts, and references."""
  folder.mkdir()
  lines, references = nbest_lists.lists(
    nbest_lists.weights(0.3, 0.5), "gnmt", 0.6, count=6
  )
  nbest_lists.write(folder / "n.jsonl", lines)
  (folder / "ref.txt").write_text("\n".join(references) + "\n")


def write_arrays(folder: pathlib.Path) -> None:
  """Writes parameters to begin with."""
  folder.mkdir()
  np.savez(
    folder / "init.npz",
    **{"encoder/embed": np.zeros((4, 8), np.float32)},
  )


class Base:
  """The parts, each made once in a folder."""

  def __init__(self, folder: pathlib.Path, server) -> None:
    self.folder = folder
    self._server = server
    self._outputs: dict[str, bytes] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, (data, model) in CONFIGS.items():
      score = "none" if name == "lm" else "general"
      text = CONFIG.format(data=data, model=model, score=score)
      (folder / f"{name}.py").write_text(text)
    (folder / "table.py").write_text(TABLE)

  def part(self, name: str) -> pathlib.Path:
    """The path of a part, which is made if it is not there yet."""
    path = self.folder / name
    if not path.exists():
      PARTS[name](self)
    return path

  def copy(self, names: tuple[str, ...], folder: pathlib.Path) -> None:
    """Copies configs and parts into a case's folder."""
    folder.mkdir(parents=True)
    for path in self.folder.glob("*.py"):
      shutil.copy2(path, folder)
    for name in names:
      part = self.part(name)
      shutil.copytree(part, folder / name, symlinks=True)

  def command(self, module: str, *words: str) -> bytes:
    """What a command prints that must succeed."""
    case = case_lib.Case("base", "base", module, words)
    done = self._server.run(case, self.folder)
    assert done.code == 0, (words, done)
    return done.stdout

  def output(self, name: str) -> bytes:
    """What a command answers where nothing is broken."""
    if name not in self._outputs:
      module, words = OUTPUTS[name]
      self.part("data"), self.part(words[1])
      self._outputs[name] = self.command(module, *words)
    return self._outputs[name]


def _train(config: str, workdir: str):
  def make(base: Base) -> None:
    base.part("data")
    base.command("train", f"{config}.py", "--workdir", workdir)
    (base.folder / workdir / "mine.txt").write_text("not of this program\n")

  return make


def _table(base: Base) -> None:
  words = ["table.py", "--workdir", "table", "--seeds", "1", "--jobs", "2"]
  base.command("ablate", *words)
  (base.folder / "table" / "mine.txt").write_text("not of this program\n")


PARTS = {
  "data": lambda base: write_data(base.folder / "data"),
  "aligned": lambda base: write_attention(base.folder / "aligned"),
  "lists": lambda base: write_lists(base.folder / "lists"),
  "arrays": lambda base: write_arrays(base.folder / "arrays"),
  "run": _train("words", "run"),
  "bpe": _train("bpe", "bpe"),
  "table": _table,
}
OUTPUTS = {
  "decode run": ("decode", ("--workdir", "run", "--input", "data/test.de")),
  "decode bpe": ("decode", ("--workdir", "bpe", "--input", "data/test.de")),
  "evaluate run": ("evaluate", ("--workdir", "run")),
  "evaluate bpe": ("evaluate", ("--workdir", "bpe")),
}


def files_of(part: str) -> list[str]:
  """The files of a workdir by what they are, for generators.

  Names of a checkpoint's own files are not known before it is written: a `*`
  is replaced by one of what matches.
  """
  return list(WORKDIR_FILES[part])


CHECKPOINT = "checkpoints/4/"
WORKDIR_FILES = {
  "run": (
    "config.json",
    "run.json",
    "lengths.npz",
    "metrics.jsonl",
    "tokenizers/*",
    f"{CHECKPOINT}state/*",
    f"{CHECKPOINT}host/*",
    f"{CHECKPOINT}*",
    "checkpoints/2/state/*",
    "tensorboard/*",
  )
}
WORKDIR_FILES["bpe"] = WORKDIR_FILES["run"]


def find(folder: pathlib.Path, pattern: str, rng: random.Random):
  """One of the paths that match a pattern."""
  paths = sorted(folder.glob(pattern))
  paths = [p for p in paths if not p.name.startswith(".")] or paths
  assert paths, f"{folder / pattern}: nothing to spoil"
  return paths[rng.randrange(len(paths))]


def clear(folder: pathlib.Path) -> None:
  """Removes a case's folder, whatever was made of it."""
  if os.path.lexists(folder):
    shutil.rmtree(folder)
