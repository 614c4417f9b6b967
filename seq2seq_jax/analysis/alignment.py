"""How attention aligns outputs with sources, measured on known alignments.

    python -m seq2seq_jax.decode --workdir DIR --input FILE --format jsonl \\
      --attention --output OUT.jsonl
    python -m seq2seq_jax.analysis.alignment OUT.jsonl --order copy

prints the alignment error rate of the best hypotheses, and the share of
attention on the known links. A link is a pair (output position, source
position), both from 0, EOS included.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence

import numpy as np

from seq2seq_jax import __version__, exits, types

ORDERS = ("copy", "reverse")

Links = set[tuple[int, int]]  # of one sentence


def links_of(order: str, source_length: int) -> Links:
  """The links of a generated task, EOS with EOS.

  Args:
    order: copy or reverse.
    source_length: tokens of the source, EOS included.
  """
  last = source_length - 1
  links = {(last, last)}
  for i in range(last):
    links.add((i, i if order == "copy" else last - 1 - i))
  return links


def hard(weights: np.ndarray) -> Links:
  """Links from each output position to its largest attention weight.

  Args:
    weights: attention [T, S].
  """
  best = np.argmax(np.asarray(weights), axis=-1)
  return {(t, int(s)) for t, s in enumerate(best)}


def error_rate(
  predicted: Sequence[Links],
  sure: Sequence[Links],
  possible: Sequence[Links] | None = None,
) -> float:
  """The alignment error rate of a corpus (Och & Ney 2003, section 5).

  AER = 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|), with sums over sentences.

  Args:
    predicted: A, the links of each sentence.
    sure: S, known links that must be there.
    possible: P, known links that may be there; S always belongs to them.
  """
  a, s = _numbered(predicted), _numbered(sure)
  p = s if possible is None else s | _numbered(possible)
  if not a and not s:
    return 0.0
  return 1.0 - (len(a & s) + len(a & p)) / (len(a) + len(s))


def _numbered(corpus: Iterable[Links]) -> set[tuple[int, int, int]]:
  """The links of all sentences, each with the number of its sentence."""
  return {(n, *link) for n, links in enumerate(corpus) for link in links}


def mass(weights: np.ndarray, links: Links) -> float:
  """Mean over output positions of the attention on their links, in [0, 1].

  Args:
    weights: attention [T, S].
    links: known ones; those beyond the output's end are left out.
  """
  weights = np.asarray(weights)
  inside = [(t, s) for t, s in links if t < len(weights)]
  return float(sum(weights[t, s] for t, s in inside) / len(weights))


def parallel_links(text: str) -> Links:
  """Links from Pharaoh's format: `source-output` from 0, between blanks."""
  pairs = (link.split("-") for link in text.split())
  return {(int(t), int(s)) for s, t in pairs}


def read(path: str) -> list[np.ndarray | None]:
  """Attention [T, S] of the best hypotheses in a JSONL file of `decode`.

  None stands for the answer to a blank line.

  Raises:
    types.UserError: a line has no hypothesis with attention.
  """
  attention: list[np.ndarray | None] = []
  with open(path, encoding="utf-8") as f:
    for number, line in enumerate(f, 1):
      try:
        entry = json.loads(line)
        if not entry["hypotheses"] and not entry["source"].strip():
          attention.append(None)
        else:
          attention.append(np.array(entry["hypotheses"][0]["attention"]))
      except (ValueError, KeyError, IndexError, TypeError) as e:
        raise types.UserError(
          f"{path}, line {number}: no hypothesis with attention; decode with "
          "--format jsonl --attention"
        ) from e
  return attention


def read_links(path: str) -> list[Links]:
  """The links of a file in Pharaoh's format, a line for each sentence.

  Raises:
    types.UserError: a line has anything but pairs of numbers.
  """
  links = []
  with open(path, encoding="utf-8") as f:
    for number, line in enumerate(f, 1):
      try:
        links.append(parallel_links(line))
      except ValueError as e:
        raise types.UserError(
          f"{path}, line {number}: links must be pairs such as 0-0 1-2, but "
          f"the line is {line.strip()!r}"
        ) from e
  return links


def _aligned(
  attention_file: str, order: str | None, links_file: str | None
) -> tuple[list[np.ndarray], list[Links]]:
  """Attention and known links of all sentences but blank lines."""
  attention = read(attention_file)
  if links_file is None:
    weights = [w for w in attention if w is not None]
    return weights, [links_of(order or "copy", w.shape[1]) for w in weights]
  links = read_links(links_file)
  if len(links) != len(attention):
    raise types.UserError(
      f"{attention_file} has {len(attention)} lines, but {links_file} has "
      f"{len(links)}; there must be one line of links for each sentence"
    )
  pairs = [(w, k) for w, k in zip(attention, links) if w is not None]
  return [w for w, _ in pairs], [k for _, k in pairs]


def parser() -> argparse.ArgumentParser:
  """The command's flags."""
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.analysis.alignment",
    description="Alignment error rate of attention.",
  )
  p.add_argument("file", help="JSONL file of decode with --attention")
  p.add_argument(
    "--version", action="version", version=f"seq2seq_jax {__version__}"
  )
  known = p.add_mutually_exclusive_group(required=True)
  known.add_argument("--order", choices=ORDERS, help="of a generated task")
  known.add_argument("--links", help="file of links in Pharaoh's format")
  return p


def main(argv: Sequence[str] | None = None) -> int:
  """Prints error rate and share of attention; 2 if a file is not readable."""
  args = parser().parse_args(argv)
  try:
    weights, links = _aligned(args.file, args.order, args.links)
    if not weights:
      raise types.UserError(f"{args.file}: there is no sentence in it")
  except (types.UserError, OSError) as e:
    print(f"error: {e}", file=sys.stderr)
    return 2
  rate = error_rate([hard(w) for w in weights], links)
  share = np.mean([mass(w, k) for w, k in zip(weights, links)])
  print(f"alignment_error_rate: {rate:.4f}")
  print(f"attention_on_links: {share:.4f}")
  print(f"sentences: {len(weights)}")
  return 0


if __name__ == "__main__":
  exits.run(main)
