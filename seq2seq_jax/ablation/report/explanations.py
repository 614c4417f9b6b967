"""The sentences that say how to read a table, for all formats."""

from typing import NamedTuple

from seq2seq_jax.ablation import published, schema, statistics
from seq2seq_jax.ablation.report import footnotes

# The names of a table's rules, as a reader meets the numbers.
RULES = {
  "interval": "95 % interval",
  "p_raw": "p before Holm",
  "p_bootstrap": "p of the bootstrap",
  "p_randomisation": "p of randomisation",
}


class Explanations(NamedTuple):
  """A sentence or two on each part of a table; empty without such a part."""

  baseline: str  # what differences refer to, without a full stop
  marks: str  # the signs of Markdown's table
  tests: str
  claims: str
  seed_share: str
  difference_seed_share: str
  tags: str
  footnotes: tuple[str, ...]  # of published values that are of another kind
  notes: tuple[str, ...]  # of how scores came about
  rules: tuple[tuple[str, str], ...]  # how intervals and p were computed

  def lines(self, signature: str | None) -> list[str]:
    """All of them, as they follow a Markdown table."""
    lines = [
      f"{self.baseline}: {self.marks}. {self.tests}",
      self.claims,
      self.seed_share,
      self.difference_seed_share,
      self.tags,
      *self.footnotes,
      *self.notes,
      f"Signature: `{signature}`." if signature else "",
    ]
    return [line for line in lines if line]


def of(table: schema.Table) -> Explanations:
  """The explanations of a table."""
  share, split = table.seed_share, table.difference_seed_share
  tags = sorted({row.tag for row in table.rows if row.tag})
  known = "; ".join(f"{tag}: {published.TAGS[tag]}" for tag in tags)
  return Explanations(
    baseline=(
      f"Differences are to the baseline ({table.reference}, where a row names "
      "no other)"
    ),
    marks=(
      "+ better, - worse; not shown: tested, and no difference was shown at "
      "5 %, which is not that there is none; ? not testable, with one seed, "
      "with seeds that failed, or with too little that varies"
    ),
    tests=(
      "Intervals and p count seeds and test sentences as drawn at random; p is "
      "corrected by Holm's method over the table."
    ),
    claims=(
      "A claim passes where its whole interval agrees with it, fails where the "
      "whole interval contradicts it, and is else inconclusive; so is one that "
      "would pass where seeds have failed, or that rests on fewer than "
      f"{statistics.FEWEST_SENTENCES} test sentences. Claims are judged one by "
      "one; a note says where one is not decided at 5 % after Holm's "
      "correction over all."
    ),
    seed_share=""
    if share is None
    else (
      f"Of the variance of single runs, {100 * share:.1f} % is due to seeds, "
      "the rest to the rows."
    ),
    difference_seed_share=""
    if split is None
    else (
      f"Of the variance of a difference, {100 * split:.0f} % is due to seeds, "
      "the rest to test sentences (median over rows)."
    ),
    tags=f"Tags of published numbers: {known}." if known else "",
    footnotes=tuple(footnotes.lines(table)),
    notes=table.notes,
    rules=tuple(
      (RULES.get(name, name), f"{rule}.") for name, rule in table.rules.items()
    ),
  )
