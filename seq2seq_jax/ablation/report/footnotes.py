"""Signs at published values that are of another kind, and what they mean."""

import itertools

from seq2seq_jax.ablation import schema

SIGNS = ("†", "‡", "§", "¶")


def signs(table: schema.Table) -> dict[str, str]:
  """The sign of each difference of a published value, in order of rows."""
  differences = itertools.chain(*(row.published_differs for row in table.rows))
  more = (f"({i})" for i in itertools.count(len(SIGNS) + 1))
  return dict(zip(dict.fromkeys(differences), itertools.chain(SIGNS, more)))


def lines(table: schema.Table) -> list[str]:
  """The notes with their signs: `† of other data: ...`."""
  return [f"{sign} Published, {text}." for text, sign in signs(table).items()]
