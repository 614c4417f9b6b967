"""Britz et al. 2017 (arXiv 1703.03906), table 6: search.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_decoding.py \\
      --workdir runs/britz_decoding

Multi30k, English to German, their baseline at half its width. The rows differ
in search alone, so each seed is trained once. B10-LP-0.5 divides by the length
penalty of Wu et al. 2016 to the power 0.5; rows without LP do not normalise.

To be seen: beam 10 is better than greedy search by at least 0.5 BLEU and like
beam 5; beam 100 is worse; normalisation helps.
"""

from seq2seq_jax.ablation import orderings, scales, suite, sweep


def _row(beam: int, alpha: float = 0.0) -> suite.Row:
  words = ["--decode.beam_size", str(beam)]
  if alpha:
    words += ["--decode.length_rule", "gnmt", "--decode.alpha", str(alpha)]
  else:
    words += ["--decode.length_rule", "none"]
  return suite.Row(f"B{beam}" + (f"-LP-{alpha}" if alpha else ""), tuple(words))


def get_ablation() -> suite.Ablation:
  rows = [_row(n) for n in (1, 3, 5, 10, 25, 100)]
  rows += [_row(10, 0.5), _row(10, 1.0)]
  return suite.Ablation(
    title="Search",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 6",
    rows=tuple(sweep.with_published(rows, "britz2017/decoding")),
    metric="bleu",
    metrics=("chrf", "length_ratio"),
    reference="B10",
    orderings=(
      orderings.above("B10", "B1", by=0.5),
      orderings.alike("B5", "B10", 0.3),
      orderings.above("B10", "B100"),
      orderings.above("B10-LP-1.0", "B10"),
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES,
    scales=scales.BRITZ,
    note=(
      "Published: WMT15 English to German, newstest2013, multiplicative "
      "attention of 512. Here additive attention, as in the authors' released "
      "baseline. At the scale cpu widths of 128 and four and a half epochs."
    ),
  )
