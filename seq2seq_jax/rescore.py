"""`python -m seq2seq_jax.rescore`: other weights on a search's n-best lists.

Reads what `decode --format jsonl --n-best N` wrote with several parts (the
decoder's attention model, CTC, a language model), ranks the outputs by every
combination of the given weights, without searching again, and prints a table of
the metric. A flag that is not given keeps the search's own value.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

from seq2seq_jax import cli, types
from seq2seq_jax.runtime import files, signals

RULES = ("none", "average", "gnmt", "word_reward")
ADVICE = (
  "Choose weights on a development set: the best of several is too good on the "
  "set it was chosen on."
)


def parser() -> argparse.ArgumentParser:
  """The command's flags."""
  p = cli.Parser(
    prog="python -m seq2seq_jax.rescore",
    description=(__doc__ or "").split("\n\n", 1)[1],
  )
  p.add_argument("nbest", metavar="NBEST.jsonl")
  p.add_argument(
    "--reference",
    metavar="FILE",
    help="a line for each source, or a manifest *.jsonl that has its id "
    "(default: each line's own `reference`)",
  )
  p.add_argument(
    "--ctc-weight",
    type=cli.numbers(0, 1),
    metavar="W,...",
    help="shares of CTC; the rest is the decoder's",
  )
  p.add_argument(
    "--lm-weight",
    type=cli.numbers(0, 100),
    metavar="W,...",
    help="weights of the language model",
  )
  p.add_argument(
    "--length-rule", choices=RULES, help="another one, as decode.length_rule"
  )
  p.add_argument(
    "--alpha",
    type=cli.numbers(-100, 100),
    metavar="A,...",
    help="parameters of the length rule; of word_reward what a token adds",
  )
  p.add_argument("--metric", default="wer", help="of outputs (default: wer)")
  p.add_argument(
    "--lowercase", action="store_true", help="compare in lower case"
  )
  p.add_argument(
    "--bleu-tokenize",
    default="13a",
    metavar="NAME",
    help="SacreBLEU's tokenizer for BLEU (default: 13a)",
  )
  p.add_argument("--json", metavar="FILE", help="file for the table")
  p.add_argument(
    "--output", metavar="FILE", help="file for the best outputs, a line each"
  )
  cli.add_version_flag(p)
  return p


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the table; returns the exit code."""
  args = parser().parse_args(argv)
  with signals.answered(files.remove_parts):
    return _run(args)


def _run(args: argparse.Namespace) -> int:
  files.check_outputs(
    {"--json": args.json, "--output": args.output},
    [("the n-best lists", args.nbest), ("--reference", args.reference)],
  )
  from seq2seq_jax import metrics
  from seq2seq_jax.inference import evaluator, nbest, rescoring, text

  metric = evaluator.find_metric(args.metric)
  lists = nbest.read(args.nbest)
  rescorer = rescoring.Rescorer(
    lists,
    nbest.references(args.nbest, args.reference, lists),
    metric,
    metrics.Comparison(args.lowercase, args.bleu_tokenize),
  )
  own, searches = _searches(args, lists)
  scored = [rescorer.score(search) for search in searches]
  best = scored.index(rescorer.best(scored))
  rows = [s.search._asdict() | {metric.name: s.value} for s in scored]
  before = rescorer.as_searched()
  result = {
    "sentences": len(lists.sources),
    "signature": metric.signature(rescorer.comparison),
    "as_searched": (own._asdict() if own else {}) | {metric.name: before},
    "best": rows[best],
    "rows": rows,
  }
  print(
    f"{len(lists.sources):,} sentences, {lists.exists.sum():,} outputs, parts: "
    f"{', '.join(lists.parts)}; length rule: {searches[0].length_rule}\n"
    f"as searched{_words(own, lists)}: {metric.label} {before:.4f}\n"
  )
  columns = [*_settings(searches[0], lists), metric.name]
  print("\n".join(_table(rows, columns, best, metric.label)))
  print(f"\n{ADVICE}")
  if args.json:
    with files.output(args.json) as out:
      out.write(json.dumps(result, indent=2) + "\n")
  if args.output:
    with files.output(args.output) as out:
      outputs = rescorer.texts(scored[best].places)
      out.writelines(text.lines([t]) for t in outputs)
  return 0


def _searches(args: argparse.Namespace, lists: Any) -> tuple[Any, list[Any]]:
  """The search's own settings, if they can be found, and all to be tried.

  Raises:
    types.UserError: a part is not in the lists, or the search's own settings
      are needed and cannot be found.
  """
  from seq2seq_jax.inference import rescoring

  _check_parts(args, lists)
  weights, own_rule = rescoring.weights_of(lists), rescoring.rule_of(lists)
  if weights is None and None in (args.ctc_weight, args.lm_weight):
    raise types.UserError(
      f"{args.nbest}: its parts add up to log_prob with no weights; give "
      "--ctc-weight and --lm-weight"
    )
  if own_rule is None and args.length_rule is None:
    raise types.UserError(
      f"{args.nbest}: no length rule makes its scores, which happens with a "
      "coverage penalty; give --length-rule"
    )
  rule, alphas = _rule(args, own_rule)
  own = None
  if weights and own_rule:
    own = rescoring.Search(*weights, *own_rule)
  ctc, lm = weights or (0.0, 0.0)
  return own, rescoring.grid(
    args.ctc_weight or (ctc,), args.lm_weight or (lm,), rule, alphas
  )


def _check_parts(args: argparse.Namespace, lists: Any) -> None:
  """Refuses weights of parts that the lists do not have."""
  have = f"{args.nbest} has the parts {', '.join(lists.parts)}"
  if "lm" not in lists.parts and any(args.lm_weight or ()):
    raise types.UserError(f"--lm-weight: {have}, and no language model's")
  for name, only in (("ctc", 0.0), ("attention", 1.0)):
    if name not in lists.parts and {*(args.ctc_weight or ())} - {only}:
      raise types.UserError(f"--ctc-weight: {have}, so it can only be {only:g}")


def _rule(
  args: argparse.Namespace, own: tuple[str, float] | None
) -> tuple[str, Sequence[float]]:
  """The length rule and its parameters to be tried."""
  rule = args.length_rule or (own or ("none",))[0]
  if rule == "none":
    if args.alpha:
      raise types.UserError(
        "--alpha: the length rule none has no parameter; give --length-rule"
      )
    return rule, (0.0,)
  if args.alpha:
    return rule, args.alpha
  if own is None or own[0] != rule:
    raise types.UserError(f"--length-rule {rule}: give its --alpha too")
  return rule, (own[1],)


def _settings(search: Any, lists: Any) -> list[str]:
  """Names of a search's settings that matter."""
  matter = {
    "ctc_weight": {"attention", "ctc"} <= lists.parts.keys(),
    "lm_weight": "lm" in lists.parts,
    "alpha": search.length_rule != "none",
  }
  return [name for name, does in matter.items() if does]


def _words(own: Any, lists: Any) -> str:
  """The search's own settings in words."""
  if own is None:
    return ""
  names = ["length_rule", *_settings(own, lists)]
  told = ", ".join(f"{name} {_cell(getattr(own, name))}" for name in names)
  return f" ({told})"


def _table(
  rows: Sequence[dict[str, Any]],
  columns: Sequence[str],
  best: int,
  label: str,
) -> Iterator[str]:
  """The lines of a table of what was tried, the best one marked.

  Args:
    rows: name -> value.
    columns: names of settings, and of the metric.
    best: the row to be marked.
    label: of the metric.
  """
  *settings, metric = columns
  cells = [[*settings, label]]
  cells += [
    [*(_cell(row[name]) for name in settings), f"{row[metric]:.4f}"]
    for row in rows
  ]
  widths = [max(map(len, column)) for column in zip(*cells)]
  for n, line in enumerate(cells):
    mark = "  best" if n == best + 1 else ""
    yield "  ".join(c.rjust(w) for c, w in zip(line, widths)) + mark


def _cell(value: Any) -> str:
  return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
  cli.run(main, joins=False)
