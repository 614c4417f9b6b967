"""How attention aligns outputs with sources, against known links.

    python -m seq2seq_jax.decode --workdir DIR --input FILE --format jsonl \\
      --attention --output OUT.jsonl
    python -m seq2seq_jax.analysis.alignment OUT.jsonl --order copy

prints the alignment error rate of the best hypotheses and the share of
attention that lies on the links.
"""

import argparse
import json
import sys

import numpy as np

from seq2seq_jax import types

ORDERS = ("copy", "reverse")


def links_of(order: str, source_length: int) -> set[tuple[int, int]]:
  """(output, source) places that belong together, EOS with EOS.

  Args:
    order: copy or reverse.
    source_length: tokens of the source with EOS.
  """
  n = source_length - 1
  place = (lambda i: i) if order == "copy" else (lambda i: n - 1 - i)
  return {(i, place(i)) for i in range(n)} | {(n, n)}


def hard(weights) -> set[tuple[int, int]]:
  """Each output with the source place of most attention. [T, S] -> links."""
  best = np.argmax(np.asarray(weights), axis=-1)
  return {(t, int(s)) for t, s in enumerate(best)}


def error_rate(found, sure, possible=None) -> float:
  """AER = 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|) (Och & Ney 2003).

  Sets of links of one sentence each, as three lists or as sets of triples.
  """
  possible = sure if possible is None else possible
  a = {(n, *link) for n, links in enumerate(found) for link in links}
  s = {(n, *link) for n, links in enumerate(sure) for link in links}
  p = {(n, *link) for n, links in enumerate(possible) for link in links} | s
  if not a and not s:
    return 0.0
  return 1.0 - (len(a & s) + len(a & p)) / (len(a) + len(s))


def mass(weights, links) -> float:
  """Mean attention that an output gives to its links. [T, S] -> [0, 1]."""
  weights = np.asarray(weights)
  inside = [(t, s) for t, s in links if t < len(weights)]
  return float(sum(weights[t, s] for t, s in inside) / len(weights))


def parallel_links(text: str) -> set[tuple[int, int]]:
  """Links in Pharaoh's format, `source-output` from 0, blank-separated."""
  pairs = (link.split("-") for link in text.split())
  return {(int(t), int(s)) for s, t in pairs}


def read(path: str) -> list[np.ndarray | None]:
  """Attention of the best hypotheses of decode's JSONL. List of [T, S].

  None stands for the answer to a blank line.
  """
  out = []
  with open(path, encoding="utf-8") as f:
    for n, line in enumerate(f, 1):
      try:
        found = json.loads(line)
        blank = not found["hypotheses"] and not found["source"].strip()
        best = None if blank else found["hypotheses"][0]["attention"]
        out.append(None if blank else np.array(best))
      except (ValueError, KeyError, IndexError, TypeError) as e:
        raise types.UserError(
          f"{path}, line {n}: no hypothesis with attention; decode with "
          "--format jsonl --attention"
        ) from e
  return out


def main(args=None) -> int:
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.analysis.alignment",
    description="Alignment error rate of attention.",
  )
  p.add_argument("file", help="JSONL of decode with --attention")
  known = p.add_mutually_exclusive_group(required=True)
  known.add_argument("--order", choices=ORDERS, help="of a generated task")
  known.add_argument("--links", help="file of links in Pharaoh's format")
  given = p.parse_args(args)
  try:
    weights = read(given.file)
    if given.order:
      weights = [w for w in weights if w is not None]
      links = [links_of(given.order, w.shape[1]) for w in weights]
    else:
      with open(given.links, encoding="utf-8") as f:
        links = [parallel_links(line) for line in f]
      if len(links) != len(weights):
        raise types.UserError(
          f"{given.file} has {len(weights)} lines and {given.links} "
          f"{len(links)}"
        )
      real = [i for i, w in enumerate(weights) if w is not None]
      weights, links = [[x[i] for i in real] for x in (weights, links)]
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
  sys.exit(main())
