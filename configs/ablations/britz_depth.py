"""Britz et al. 2017 (arXiv 1703.03906), table 3: depth and residuals.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_depth.py \\
      --workdir runs/britz_depth

Multi30k, English to German, their baseline at half its width. Enc-4 has two
layers in each direction, as they count. Res adds a layer's input to its output,
ResD the inputs of all layers below, from the second layer on; theirs begin at
the first, whose input is projected where it is wider.

To be seen: eight decoder layers without residuals fail, with them they do not,
and dense residuals are the better ones; the encoder's depth matters little.
"""

from seq2seq_jax.ablation import orderings, scales, suite, sweep


def _row(side: str, depth: int, residual: str = "") -> suite.Row:
  layers = depth // 2 if side == "encoder" else depth  # two directions
  changes: dict = {f"model.{side}.layers": layers}
  if residual:
    changes["model.residual"] = {"Res": "add", "ResD": "dense"}[residual]
  name = f"{side[:3].title()}-{depth}" + (f"-{residual}" if residual else "")
  return suite.Row(name, changes)


def get_ablation() -> suite.Ablation:
  rows = [
    *(_row("encoder", n) for n in (2, 4, 8)),
    *(_row("encoder", 8, r) for r in ("Res", "ResD")),
    *(_row("decoder", n) for n in (1, 2)),
    *(_row("decoder", n, r) for n in (4, 8) for r in ("", "Res", "ResD")),
  ]
  return suite.Ablation(
    title="Depth and residual layers",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 3",
    rows=tuple(sweep.with_published(rows, "britz2017/depth")),
    metric="bleu",
    metrics=("loss",),
    reference="Dec-2",
    orderings=(
      orderings.above("Dec-2", "Dec-8", by=3),
      orderings.above("Dec-8-Res", "Dec-8"),
      orderings.above("Dec-8-ResD", "Dec-8-Res"),
      orderings.above("Dec-4-ResD", "Dec-4-Res"),
      orderings.above("Dec-4", "Dec-4-Res"),
      orderings.alike("Enc-4", "Enc-2", 0.5),
      orderings.alike("Enc-8", "Enc-2", 0.7),
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES,
    scales=scales.BRITZ,
    rows_by_scale={
      "smoke": ("Dec-2", "Enc-4", "Dec-4", "Dec-4-Res", "Dec-4-ResD"),
    },
    note=(
      "Published: WMT15 English to German, newstest2013, multiplicative "
      "attention of 512. Here additive attention, as in the authors' released "
      "baseline, and no residual at the lowest layer. Enc-2 and Dec-2 are "
      "one model, trained once. Here one switch sets the residuals of both "
      "sides: with Enc-8-Res and -ResD the second decoder layer has one too."
    ),
  )
