"""The large recurrent models on one accelerator, beside PyTorch with cuDNN.

    python -m benchmarks.large [gnmt|luong|medium] [--small] [--json FILE]

gnmt: the size of NVIDIA's published recipe: 4 + 4 layers of 1024, vocabulary
32,000, normalised additive attention, bfloat16 products, batch 128, lengths 50;
tokens are those of source and target, as they count them. Published on one A100
in mixed precision: 140,900 a second in training, 28,200 in decoding with batch
128 and beam 5. Like theirs, it queries attention with the present state of the
lowest layer, feeds nothing back and reads its softmax from the state alone.
luong: the model of `configs/luong2015.py`; `minutes` is how long its published
schedule would take. medium: the 11.6 M parameter model with and without input
feeding, beside PyTorch on the same device. `--small` shrinks the first two, to
try them where there is no accelerator.
"""

import argparse
import dataclasses
from typing import Any

import numpy as np

from benchmarks import measure, ours
from seq2seq_jax import config, types
from seq2seq_jax.inference import translator as translation
from seq2seq_jax.runtime import parallel

MODELS = ("gnmt", "luong", "medium")
PUBLISHED = {"training": 140_900, "decoding": 28_200}
# Luong et al. 2015: 12 epochs of 4.5 M sentences in batches of 128.
LUONG_STEPS = 12 * 4_500_000 // 128


def gnmt(small: bool) -> config.Config:
  """Returns the model of NVIDIA's GNMT recipe."""
  width, depth = (64, 2) if small else (1024, 4)
  return config.Config(
    model=config.Model(
      embed_dim=width,
      encoder=config.Encoder(
        cell="lstm",
        dim=width,
        layers=depth,
        stacking="gnmt",
      ),
      decoder=config.Decoder(
        dim=width,
        layers=depth,
        bridge="zero",
        placement="nvidia_gnmt",
        input_feeding=False,
      ),
      attention=config.Attention(
        score="normed_additive",
        dim=width,
      ),
      readout=config.Readout(
        kind="linear",
        inputs="state",
      ),
      dropout=config.Dropout(rnn=0.2),
      residual="add",
      residual_start=3,
      dtype="bfloat16",
    ),
    optim=config.Optim(label_smoothing=0.1),
  )


def luong(small: bool) -> config.Config:
  """Returns the model of Luong et al. 2015, with products in bfloat16."""
  conf = config.load("configs/luong2015.py")
  changes: dict[str, Any] = {"dtype": "bfloat16"}
  if small:
    names = ("encoder.dim", "decoder.dim", "attention.dim", "readout.dim")
    changes |= dict.fromkeys(("embed_dim", *names), 64)
  return dataclasses.replace(conf, model=config.replace(conf.model, changes))


def training(name: str, small: bool) -> measure.Program:
  """Returns a train step on a full batch, with its number of tokens."""
  measure.setup()
  conf, size = (gnmt(small), 32000) if name == "gnmt" else (luong(small), 50000)
  rows, length = (8, 10) if small else (128, 50)
  size = 500 if small else size
  trainer = ours.Trainer(conf, size, ours.batch(rows, length, length, size))
  facts = {"parameters": trainer.size(), "tokens": 2 * rows * length}
  return trainer.step, facts


def decoding(small: bool) -> measure.Program:
  """Returns a beam-5 search of full batches, with its number of tokens.

  Outputs are truncated at the source's length.
  """
  measure.setup()
  conf, size = gnmt(small), 500 if small else 32000
  rows, length = (8, 10) if small else (128, 32)
  search = config.Decode(
    beam_size=5,
    batch_rows=rows,
    pool_batches=2,
    max_ratio=1.0,
    max_extra=0,
    length_step=32,
  )
  trainer = ours.Trainer(conf, size, ours.batch(2, 3, 3, size))
  mapper = parallel.Mapper("pmap", local=True)
  side: Any = ours.IdSource()
  translator = translation.Translator([trainer.model], mapper, side)
  params = (mapper.replicate(trainer.params),)
  rng = np.random.default_rng(0)
  ids = [
    types.EncodedSide(
      np.append(rng.integers(4, size, length - 1), types.EOS).astype(np.int32)
    )
    for _ in range(2 * rows)
  ]

  def run() -> list[tuple[int, types.Hypotheses]]:
    return list(translator.search(params, ids, search))

  output = sum(int(hypotheses.length[0]) for _, hypotheses in run())
  return run, {"tokens": output + sum(len(side.values) for side in ids)}


def our_medium(feeding: bool) -> measure.Program:
  """Returns our step of the 11.6 M parameter model."""
  measure.setup()
  conf = ours.medium(**{"decoder.input_feeding": feeding})
  trainer = ours.Trainer(conf, 7000, ours.batch(64, 16, 16, 7000))
  return trainer.step, {}


def peer_medium(feeding: bool) -> measure.Program:
  """Returns PyTorch's step of the same model, on an accelerator if it can."""
  import jax
  import torch

  from benchmarks import vs_pytorch

  # Initialised on the host: the device is the peer's, and its memory.
  jax.config.update("jax_platforms", "cpu")
  # As XLA's products are by default where there are tensor cores.
  torch.set_float32_matmul_precision("high")
  conf = ours.medium()
  batch = ours.batch(64, 16, 16, 7000)
  params = jax.device_get(ours.Trainer(conf, 7000, batch).params)
  device = "cuda" if torch.cuda.is_available() else "cpu"
  model = vs_pytorch.from_ours(params, conf, conf.model.dropout.rnn, feeding)
  peer = vs_pytorch.Trainer(model.to(device), batch, 0.1, 1.0, device)

  def step() -> None:
    peer.step()
    if device == "cuda":
      torch.cuda.synchronize()

  return step, {"device": device}


def medium(args: argparse.Namespace) -> dict[str, Any]:
  """Returns our time over PyTorch's, with and without input feeding."""
  ratios = {}
  for feeding in (True, False):
    programs = {
      "ours": measure.Subprocess(our_medium, feeding),
      "pytorch": measure.Subprocess(peer_medium, feeding),
    }
    seconds = measure.interleave(programs, args.rounds or 12)
    name = "with_feeding" if feeding else "without_feeding"
    ratios[name] = measure.ratio(seconds, "ours", "pytorch")
    for program in programs.values():
      program.end()
  return {"ratio_to_pytorch": ratios}


def main() -> None:
  """Measures and reports each model."""
  p = measure.parser(__doc__)
  p.add_argument("model", nargs="?", choices=MODELS, help="default: all")
  p.add_argument("--small", action="store_true")
  args = p.parse_args()
  result: dict[str, Any] = {}
  for name in (args.model,) if args.model else MODELS:
    figures = medium(args) if name == "medium" else rates(args, name)
    # Reported model by model: the next one may run out of memory.
    result |= figures if args.model else {name: figures}
    measure.report(args, result)


def rates(args: argparse.Namespace, name: str) -> dict[str, Any]:
  """Returns a published model's tokens a second, source and target together."""
  program = measure.Subprocess(training, name, args.small)
  seconds = measure.interleave({"ours": program}, args.rounds or 12)["ours"]
  program.end()
  result = {
    "parameters": program.facts["parameters"],
    "tokens_per_second_training": _rate(program, seconds),
  }
  if args.small:
    result["note"] = "a small model: only to try the script"
  elif name == "luong":
    # Of batches that are all full: an upper bound.
    steps = measure.quartiles([s * LUONG_STEPS / 60 for s in seconds])
    result["minutes"] = steps
  if name == "gnmt":
    search = measure.Subprocess(decoding, args.small)
    times = measure.interleave({"ours": search}, args.rounds or 5, 1)["ours"]
    result["tokens_per_second_decoding"] = _rate(search, times)
    if not args.small:
      result["published on one A100"] = PUBLISHED
  return result


def _rate(
  program: measure.Subprocess, seconds: list[float]
) -> measure.Quartiles:
  """Returns the quartiles of a program's tokens a second."""
  return measure.quartiles([program.facts["tokens"] / s for s in seconds])


if __name__ == "__main__":
  main()
