"""`seq2seq-jax COMMAND ...`: every program of the package by one name."""

import importlib
import sys

from seq2seq_jax import cli

# command: its module, what it does
COMMANDS = {
  "train": ("seq2seq_jax.train", "train a model, or resume its run"),
  "evaluate": ("seq2seq_jax.evaluate", "scores of a trained model"),
  "decode": ("seq2seq_jax.decode", "translate with a trained model"),
  "rescore": (
    "seq2seq_jax.rescore",
    "weights of a search, tried on its n-best lists",
  ),
  "convert": (
    "seq2seq_jax.convert",
    "a model of another program, as a workdir",
  ),
  "export": (
    "seq2seq_jax.export",
    "a trained model as a folder to hand on, with a model card",
  ),
  "ablate": ("seq2seq_jax.ablate", "a paper's ablation table, made again"),
  "scan": ("seq2seq_jax.data.scan", "print a split of SCAN"),
  "copynet-rules": (
    "seq2seq_jax.data.copynet_rules",
    "print CopyNet's synthetic rules",
  ),
  "prepare": ("seq2seq_jax.data.prepare", "prepare a TFDS set for training"),
  "alignment": (
    "seq2seq_jax.analysis.alignment",
    "alignment error rate of decoded attention",
  ),
}


def usage() -> str:
  """The commands, a line each."""
  lines = [f"  {name:14} {text}" for name, (_, text) in COMMANDS.items()]
  return "\n".join(
    [
      "usage: seq2seq-jax COMMAND ...",
      "",
      *lines,
      "",
      "seq2seq-jax COMMAND --help lists its flags.",
    ]
  )


def main() -> int:
  """Runs the command that the first argument names; returns its exit code."""
  command = sys.argv[1] if len(sys.argv) > 1 else ""
  if command == "--version":
    print(f"seq2seq_jax {cli.version()}")
    return 0
  if command in ("-h", "--help"):
    print(usage())
    return 0
  if command not in COMMANDS:
    print(usage(), file=sys.stderr)
    if command:
      print(f"error: {command}: no such command", file=sys.stderr)
    return cli.BAD_USAGE
  module = importlib.import_module(COMMANDS[command][0])
  sys.argv = [f"seq2seq-jax {command}", *sys.argv[2:]]
  return module.main()


def console() -> None:
  """The entry point of the console script."""
  cli.run(main)


if __name__ == "__main__":
  console()
