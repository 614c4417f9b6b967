"""Beam-5 translation of 1,000 sentences, beside PyTorch's.

    export SEQ2SEQ_JAX_DATA=FOLDER
    python -m benchmarks.beam_search [--workdir runs/deen] [--json FILE]

From lines of text to lines of text, batch 64, sorted by length on both sides,
the same weights; `agreement` is the share of equal lines, in percent.
"""

import subprocess
import sys

import torch

from benchmarks import measure, vs_pytorch, vs_pytorch_search
from seq2seq_jax.inference import model as model_lib

WORKDIR = "runs/benchmark_beam_search"


class Ours:
  """`decode` without its files."""

  def __init__(self, model: model_lib.Model, patience: float):
    self.model = model.with_search(patience=patience)

  def translate(self, lines: list[str]) -> list[str]:
    return self.model.translate(lines)


class Peer:
  """The same from text to text in PyTorch."""

  def __init__(self, model: model_lib.Model, rows: int, patience: float):
    self.vocabularies = model.vocabularies
    self.conf, self.rows = model.config, rows
    self.patience = patience
    [params] = model.params
    self.model = vs_pytorch.from_ours(params, model.config, 0.0).eval()

  def translate(self, lines: list[str]) -> list[str]:
    d, out = self.conf.decode, [None] * len(lines)
    ids = [self.vocabularies.source.encode(line).values for line in lines]
    order = sorted(range(len(lines)), key=lambda i: -len(ids[i]))
    for first in range(0, len(order), self.rows):
      part = order[first : first + self.rows]
      lengths = torch.tensor([len(ids[i]) for i in part])
      src = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(ids[i]).long() for i in part], batch_first=True
      )
      max_len = (d.max_ratio * lengths).floor().long() + d.max_extra
      found = vs_pytorch_search.search(
        self.model, src, lengths, max_len, d.beam_size, d.alpha, self.patience
      )
      for i, tokens in zip(part, found):
        out[i] = self.vocabularies.target_text(tokens)
    return out


def trained() -> str:
  """Trains a run to translate with, or goes on with it; its workdir."""
  words = ["-m", "seq2seq_jax.train", "configs/multi30k_deen.py"]
  words += ["--workdir", WORKDIR, "--train.steps", "600"]
  done = subprocess.run([sys.executable, *words])
  if done.returncode:
    raise SystemExit(done.returncode)
  return WORKDIR


def loaded(args):
  model = model_lib.load(args.workdir, args.checkpoint)
  split = model.split("test")
  lines = [split[i][0] for i in range(min(args.sentences, len(split)))]
  return model, lines


def our_search(args):
  measure.setup()
  model, lines = loaded(args)
  mine = Ours(model, args.patience)
  return lambda: mine.translate(lines), {"texts": mine.translate(lines)}


def peer_search(args):
  model, lines = loaded(args)
  decode = model.config.decode
  assert decode.length_rule == "average"
  peer = Peer(model, decode.batch_rows, args.patience)
  return lambda: peer.translate(lines), {"texts": peer.translate(lines)}


def main() -> None:
  p = measure.parser(__doc__)
  p.add_argument(
    "--workdir",
    help="a run to translate with; by default 600 updates of "
    f"configs/multi30k_deen.py, kept in {WORKDIR}",
  )
  p.add_argument("--checkpoint", default="last")
  p.add_argument("--sentences", type=int, default=1000)
  p.add_argument(
    "--patience",
    type=float,
    default=0.0,
    help="stop once so many times the beam's width have ended, on both sides",
  )
  args = p.parse_args()
  args.workdir = args.workdir or trained()
  programs = {
    "ours": measure.Subprocess(our_search, args),
    "pytorch": measure.Subprocess(peer_search, args),
  }
  texts = [program.facts["texts"] for program in programs.values()]
  count = len(texts[0])
  agreement = 100 * sum(a == b for a, b in zip(*texts)) / count
  assert agreement > 98, f"only {agreement} % of the outputs are equal"
  seconds = measure.interleave(programs, args.rounds or 5, calls=1)
  measure.report(
    args,
    {
      "sentences": count,
      "patience": args.patience,
      "agreement": agreement,
      "seconds_ours": measure.quartiles(seconds["ours"]),
      "seconds_pytorch": measure.quartiles(seconds["pytorch"]),
      "ratio_to_pytorch": measure.ratio(seconds, "ours", "pytorch"),
    },
  )


if __name__ == "__main__":
  main()
