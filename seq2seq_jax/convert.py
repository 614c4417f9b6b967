"""`python -m seq2seq_jax.convert`: models of other programs as workdirs.

Reads a model that another program wrote, prints what went where, and writes an
ordinary workdir for `decode`, `evaluate` and `train.init_from`. What cannot be
expressed is refused by name, before anything is written.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence

from seq2seq_jax import cli, types
from seq2seq_jax.config import overrides
from seq2seq_jax.interchange import formats
from seq2seq_jax.runtime import files, signals

# Sections that the model itself decides.
FIXED = (
  *("--model.", "--data.source.", "--data.target.", "--data.joint"),
  *("--data.reverse", "--data.vocabulary", "--train.seeds", "--train.init"),
)


def parser() -> argparse.ArgumentParser:
  """The command's flags."""
  p = cli.Parser(
    prog="python -m seq2seq_jax.convert",
    description=(__doc__ or "").split("\n\n", 1)[1],
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  p.add_argument("format", metavar="FORMAT", help="see below")
  p.add_argument("path", metavar="PATH", type=pathlib.Path)
  p.add_argument(
    "--workdir",
    required=True,
    type=pathlib.Path,
    metavar="DIR",
    help="a new or empty folder",
  )
  for flag, text in (
    ("--config", "the model's settings, if they do not lie beside it"),
    ("--vocabulary", "folder with the vocabularies"),
    ("--source-vocab", "file of the source's vocabulary"),
    ("--target-vocab", "file of the target's vocabulary"),
  ):
    p.add_argument(flag, type=pathlib.Path, metavar="FILE", help=text)
  p.add_argument(
    "--checkpoint", metavar="NAME", help="a file in the folder PATH"
  )
  p.add_argument(
    "--part", metavar="NAME", help="what the model is to be, of several"
  )
  cli.add_version_flag(p)
  p.epilog = _formats()
  return p


def _formats() -> str:
  """The formats, with the flags that each reads."""
  lines = ["formats:"]
  for name, form in formats.FORMATS.items():
    flags = ", ".join(map(formats.flag, form.options))
    lines.append(f"  {name:12} {form.words}" + (f" ({flags})" if flags else ""))
  lines.append(
    "\nFields of data, optim, train and decode can be given by dotted names."
  )
  return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
  """Prints what goes where, and writes the workdir; returns the exit code."""
  args, rest = parser().parse_known_args(argv)
  with signals.answered(files.remove_parts):
    return _run(args, rest)


def _run(args: argparse.Namespace, rest: list[str]) -> int:
  for word in rest:
    if word.startswith(FIXED):
      raise types.UserError(
        f"{word.split('=')[0]}: the model that is read decides it"
      )
  from seq2seq_jax.interchange import workdir

  workdir.check_place(args.workdir)
  names = [field.name for field in dataclasses.fields(formats.Options)]
  options = formats.Options(**{name: getattr(args, name) for name in names})
  imported = formats.read(args.format, args.path, options)
  if rest:
    conf = overrides.checked(imported.config, rest, "convert")
    imported = dataclasses.replace(imported, config=conf)
  imported, fresh = workdir.checked(imported, str(args.path))
  print("\n".join(workdir.report(imported, fresh)))
  workdir.write(imported, args.workdir)
  print(f"\nwrote {args.workdir}: {workdir.summary(imported)}")
  return 0


if __name__ == "__main__":
  cli.run(main, joins=False)
