"""How attention aligns outputs with sources, measured on known alignments.

    python -m seq2seq_jax.decode --workdir DIR --input FILE --format jsonl \\
      --attention --output OUT.jsonl
    python -m seq2seq_jax.analysis.alignment OUT.jsonl --order copy

prints the alignment error rate of the best hypotheses, and the share of
attention on the known links. A link is a pair (output position, source
position), both from 0, EOS included.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seq2seq_jax import __version__, exits, records, types

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
  return {(_position(t), _position(s)) for s, t in pairs}


def _position(digits: str) -> int:
  if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
    raise ValueError(f"{digits!r} is no position")
  return int(digits)


def read(path: str) -> list[np.ndarray | None]:
  """Attention [T, S] of the best hypotheses in a JSONL file of `decode`.

  None stands for the answer to a blank line.

  Raises:
    types.UserError: a line has no hypothesis with attention.
  """
  return [
    _attention(line, f"{path}, line {number}")
    for number, line in enumerate(_lines(path), 1)
  ]


def _lines(path: str) -> list[str]:
  """The lines of a text file in UTF-8."""
  try:
    text = records.content(path).decode("utf-8-sig")
  except UnicodeDecodeError as e:
    line = e.object.count(b"\n", 0, e.start) + 1
    raise types.UserError(f"{path}, line {line}: not UTF-8") from e
  return text.removesuffix("\n").split("\n") if text else []


@dataclasses.dataclass(frozen=True)
class _Answer:
  """What is read of a line; `decode` writes more."""

  hypotheses: list[dict[str, Any]]
  source: str = ""


@dataclasses.dataclass(frozen=True)
class _Hypothesis:
  """What is read of a hypothesis."""

  attention: tuple[tuple[float, ...], ...]


def _known(kind: Any, data: dict[str, Any], place: str) -> Any:
  """A record of the fields that are read; the others are left out."""
  names = [field.name for field in dataclasses.fields(kind)]
  known = {name: data[name] for name in names if name in data}
  return records.decode(kind, known, place)


def _attention(line: str, place: str) -> np.ndarray | None:
  """The weights of a line's first hypothesis; None of a blank line's."""
  data = records.parse(line, place)
  if not isinstance(data, dict):
    raise types.UserError(f"{place}: must be an object, as decode writes it")
  answer = _known(_Answer, data, place)
  if not answer.hypotheses and not answer.source.strip():
    return None
  if not answer.hypotheses or "attention" not in answer.hypotheses[0]:
    raise types.UserError(
      f"{place}: no hypothesis with attention; decode with --format jsonl "
      "--attention"
    )
  rows = _known(_Hypothesis, answer.hypotheses[0], place).attention
  if not rows or not rows[0] or len({len(row) for row in rows}) != 1:
    raise types.UserError(
      f"{place}: attention must have rows of one length, and one at least"
    )
  weights = np.array(rows, dtype=float)
  if weights.min() < 0 or weights.max() > 1:
    raise types.UserError(f"{place}: attention must lie between 0 and 1")
  return weights


def read_links(path: str) -> list[Links]:
  """The links of a file in Pharaoh's format, a line for each sentence.

  Raises:
    types.UserError: a line has anything but pairs of numbers.
  """
  links = []
  for number, line in enumerate(_lines(path), 1):
    try:
      links.append(parallel_links(line))
    except ValueError as e:
      raise types.UserError(
        f"{path}, line {number}: links must be pairs such as 0-0 1-2, but the "
        f"line is {line.strip()[:80]!r}"
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
  for number, (w, k) in enumerate(zip(attention, links), 1):
    last = max((s for _, s in k), default=0)
    if w is not None and last >= w.shape[1]:
      raise types.UserError(
        f"{links_file}, line {number}: links source position {last}, but "
        f"{attention_file} has {w.shape[1]} positions, from 0"
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
  except types.UserError as e:
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
