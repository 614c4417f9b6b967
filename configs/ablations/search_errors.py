"""The curse of beam search: beam size and length rule, by search alone.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/search_errors.py \\
      --workdir runs/search_errors

Wu et al. 2016 (arXiv 1609.08144, tables 2 and 3), Koehn & Knowles 2017, Murray
& Chiang 2018 (arXiv 1808.10006). Multi30k, English to German, the model of
`multi30k_britz.py`; each seed is trained once. Hypotheses are ranked by log P
alone, by log P a token, with GNMT's penalty, or with a reward for every token.

To be seen: without a length rule larger beams first help and then hurt; with
one, beam 100 is like beam 5. Of the paper's grid only the line without coverage
penalty is here, all of it in `gnmt_penalties.py`. Exact search
(`--decode.exact`) is for smaller vocabularies.
"""

from seq2seq_jax.ablation import orderings, scales, suite

RULES = {
  "none": ("--decode.length_rule", "none"),
  "average": ("--decode.length_rule", "average", "--decode.alpha", "1.0"),
  "reward": ("--decode.length_rule", "word_reward", "--decode.alpha", "0.5"),
}
BEAMS = (1, 2, 3, 5, 10, 25, 100)


def _published(alpha: float) -> str:
  return f"gnmt2016/alpha_beta/alpha {alpha}, beta 0.0"


def _rows() -> list[suite.Row]:
  rows = []
  for rule, words in RULES.items():
    for n in BEAMS:
      known = _published(0.0) if (rule, n) == ("none", 10) else ""
      beam = ("--decode.beam_size", str(n))
      rows.append(suite.Row(f"{rule}, beam {n}", words + beam, known))
  for alpha in (0.2, 0.4, 0.6, 0.8, 1.0):
    words = ("--decode.length_rule", "gnmt", "--decode.alpha", str(alpha))
    beam = ("--decode.beam_size", "10")
    rows.append(
      suite.Row(f"gnmt {alpha}, beam 10", words + beam, _published(alpha))
    )
  return rows


def get_ablation() -> suite.Ablation:
  rows = _rows()
  few = tuple(
    row.name for row in rows if row.name.split()[-1] in ("1", "5", "10")
  )
  return suite.Ablation(
    title="Beam size and length rule",
    paper="Wu et al. 2016 (arXiv 1609.08144), table 2, and others",
    rows=tuple(rows),
    metric="bleu",
    metrics=("chrf", "length_ratio", "empty", "cut"),
    reference="none, beam 10",
    orderings=(
      orderings.above("none, beam 10", "none, beam 1"),
      orderings.above("none, beam 5", "none, beam 100"),
      orderings.alike("average, beam 100", "average, beam 5", 0.3),
      orderings.above("gnmt 0.6, beam 10", "none, beam 10"),
      orderings.above("reward, beam 100", "none, beam 100", judged=False),
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES,
    scales=scales.BRITZ | {"pod": ()},
    rows_by_scale={"smoke": few},
    note=(
      "Published: English to French, development set, 8 to 12 hypotheses. "
      "That a word reward repairs large beams is recalled, unconfirmed."
    ),
  )
