"""Wu et al. 2016 (arXiv 1609.08144), table 2: length and coverage penalties.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/gnmt_penalties.py \\
      --workdir runs/gnmt_penalties

Multi30k, English to German, beam 10. The rows differ in search alone, so each
seed is trained once: log P is divided by ((5 + length) / 6) to the alpha, and
beta times the coverage penalty is added.

To be seen, where translations without penalties are too short: a little of both
helps, much of both at once hurts.
"""

from seq2seq_jax.ablation import orderings, scales, suite, sweep

VALUES = ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0")


def get_ablation() -> suite.Ablation:
  rows = sweep.product(
    [(f"alpha {a}", f"--decode.alpha {a}") for a in VALUES],
    [(f"beta {b}", f"--decode.coverage {b}") for b in VALUES],
    [("", "--decode.length_rule gnmt --decode.beam_size 10")],
  )
  none, little, much = (f"alpha {x}, beta {x}" for x in ("0.0", "0.2", "1.0"))
  short = orderings.Precondition("length_ratio", none, 100)
  return suite.Ablation(
    title="Length and coverage penalties",
    paper="Wu et al. 2016 (arXiv 1609.08144), table 2",
    rows=tuple(sweep.with_published(rows, "gnmt2016/alpha_beta")),
    metric="bleu",
    metrics=("chrf", "length_ratio"),
    reference=none,
    orderings=(
      orderings.above(little, none, by=0.3, precondition=short),
      orderings.above("alpha 0.6, beta 0.0", none, by=0.3, precondition=short),
      orderings.above("alpha 0.0, beta 0.6", none, by=0.3, precondition=short),
      orderings.above(little, much),
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES | {"pod": "gnmt2016.py"},
    scales=scales.BRITZ | {"pod": ()},
    rows_by_scale={"smoke": (none, little, much)},
    note=(
      "Published: English to French, development set, maximum likelihood, 8 to "
      "12 hypotheses, pruned. Here nothing is pruned, and the scale pod trains "
      "with Adam alone, 60,000 updates without the 1.74 M of SGD behind them."
    ),
  )
