"""Beam-5 translation of 1,000 sentences, beside PyTorch's.

    export SEQ2SEQ_JAX_DATA=FOLDER
    python -m benchmarks.beam_search [--workdir runs/deen] [--json FILE]

From lines of text to lines of text, batch 64, sorted by length on both sides,
the same weights; `agreement` is the share of equal lines, in percent.
"""

import argparse
import subprocess
import sys

import torch

from benchmarks import measure, vs_pytorch, vs_pytorch_search
from seq2seq_jax.inference import model as model_lib

WORKDIR = "runs/benchmark_beam_search"


class Peer:
  """Translation from text to text in PyTorch, with the weights of a model."""

  def __init__(self, model: model_lib.Model, patience: float):
    """Makes the peer of a model of one member.

    Args:
      model: ours.
      patience: see `vs_pytorch_search.search`.
    """
    self.vocabularies, self.patience = model.vocabularies, patience
    self.decode = model.config.decode
    [params] = model.params
    self.model = vs_pytorch.from_ours(params, model.config, 0.0).eval()

  def translate(self, lines: list[str]) -> list[str]:
    """Returns the best translation of each line, longest lines first."""
    decode, rows = self.decode, self.decode.batch_rows
    texts = [""] * len(lines)
    ids = [self.vocabularies.source.encode(line).values for line in lines]
    order = sorted(range(len(lines)), key=lambda i: -len(ids[i]))
    for first in range(0, len(order), rows):
      part = order[first : first + rows]
      lengths = torch.tensor([len(ids[i]) for i in part])
      src = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(ids[i]).long() for i in part], batch_first=True
      )
      max_len = (decode.max_ratio * lengths).floor().long() + decode.max_extra
      outputs = vs_pytorch_search.search(
        self.model,
        src,
        lengths,
        max_len,
        decode.beam_size,
        decode.alpha,
        self.patience,
      )
      for i, tokens in zip(part, outputs, strict=True):
        texts[i] = self.vocabularies.target_text(tokens)
    return texts


def train() -> str:
  """Trains or resumes the run to translate with; returns its workdir."""
  words = ["-m", "seq2seq_jax.train", "configs/multi30k_deen.py"]
  words += ["--workdir", WORKDIR, "--train.steps", "600"]
  code = subprocess.run([sys.executable, *words]).returncode
  if code:
    raise SystemExit(code)
  return WORKDIR


def load(args: argparse.Namespace) -> tuple[model_lib.Model, list[str]]:
  """Returns the model, and the lines that are translated."""
  model = model_lib.load(args.workdir, args.checkpoint)
  split = model.split("test")
  lines = [split[i][0] for i in range(min(args.sentences, len(split)))]
  return model, lines


def our_search(args: argparse.Namespace) -> measure.Program:
  """Returns our translation of all lines, and the texts."""
  measure.setup()
  model, lines = load(args)
  model = model.with_search(patience=args.patience)
  return lambda: model.translate(lines), {"texts": model.translate(lines)}


def peer_search(args: argparse.Namespace) -> measure.Program:
  """Returns PyTorch's translation of all lines, and the texts."""
  model, lines = load(args)
  assert model.config.decode.length_rule == "average"
  peer = Peer(model, args.patience)
  return lambda: peer.translate(lines), {"texts": peer.translate(lines)}


def main() -> None:
  """Measures and reports."""
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
  args.workdir = args.workdir or train()
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
