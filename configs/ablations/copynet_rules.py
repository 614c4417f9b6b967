"""Gu et al. 2016 (arXiv 1603.06393), table 1: synthetic copying rules.

    python -m seq2seq_jax.ablate configs/ablations/copynet_rules.py \\
      --workdir runs/copynet_rules

Generated rules of five kinds, which keep nothing of the input, or x, or x
twice, or x of x and y, or both. Each model learns all kinds at once; the first
three rows are scored on all of them, the others on one, as the columns of the
paper's table are.

To be seen: CopyNet above RNNSearch above the plain encoder-decoder wherever
something is copied, by 30 points for x twice and x with y. The published
numbers are recalled, unconfirmed, so nothing is judged.
"""

from seq2seq_jax.ablation import orderings, suite

MODELS = {
  "Enc-Dec": (
    *("--model.head", "softmax", "--model.attention.score", "none"),
    *("--model.decoder.placement", "luong"),
  ),
  "RNNSearch": ("--model.head", "softmax"),
  "CopyNet": (),
}
KINDS = ("x_0", "x_x", "x_xx", "xy_x", "xy_xy")
SMOKE = """
  --data.buckets 1
  --data.synthetic.rules 10 --model.embed_dim 16 --model.encoder.dim 16
  --model.decoder.dim 16 --model.attention.dim 16 --train.steps 60
  --train.validate_every 60 --decode.beam_size 1
"""
CPU = """
  --data.synthetic.rules 50 --model.embed_dim 64 --model.encoder.dim 128
  --model.decoder.dim 128 --model.attention.dim 128 --train.steps 2000
  --decode.beam_size 1
"""


def _of(kind: str) -> list[suite.Row]:
  return [
    suite.Row(
      f"{name}, {kind}",
      (*words, "--data.test", kind),
      f"gu2016/{kind}/{name}",
      1,
      f"RNNSearch, {kind}",
    )
    for name, words in MODELS.items()
  ]


def get_ablation() -> suite.Ablation:
  together = [
    suite.Row(name, words, f"gu2016/mean/{name}")
    for name, words in MODELS.items()
  ]
  copying = KINDS[1:]
  return suite.Ablation(
    title="Copying rules",
    paper="Gu et al. 2016 (arXiv 1603.06393), table 1",
    base="copynet_rules.py",
    rows=(*together, *(row for kind in KINDS for row in _of(kind))),
    metric="exact_match",
    metrics=("loss",),
    reference="RNNSearch",
    orderings=(
      orderings.above("CopyNet", "RNNSearch", judged=False),
      orderings.above("RNNSearch", "Enc-Dec", judged=False),
      *(
        orderings.above(
          f"CopyNet, {kind}",
          f"RNNSearch, {kind}",
          by=30 if kind in ("x_xx", "xy_xy") else 0,
          judged=False,
        )
        for kind in copying
      ),
      *(
        orderings.above(f"RNNSearch, {kind}", f"Enc-Dec, {kind}", judged=False)
        for kind in copying
      ),
    ),
    scales={
      "smoke": tuple(SMOKE.split()),
      "cpu": tuple(CPU.split()),
      "gpu": (),
    },
    bins=(),
    note=(
      "Published numbers are recalled, unconfirmed; beside the rows that are "
      "scored on all kinds stands the mean over the paper's five columns, as "
      "the test set has as many rules of each kind. A model's rows share its "
      "trainings."
    ),
  )
