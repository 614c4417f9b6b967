"""bentrevett/pytorch-seq2seq on Multi30k: three tutorial models, one by one.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/bentrevett_ladder.py \\
      --workdir runs/bentrevett_ladder

Multi30k, German to English: a two-layer LSTM without attention (after Sutskever
et al. 2014), a GRU that sees its context at each step (Cho et al. 2014), and a
bidirectional GRU with attention (Bahdanau et al. 2015), each a config file of
its own. All feed half of the model's own words in training, a coin for each
step of a batch; the last row feeds the reference's words alone.

To be seen: each model is better than the one before, and the words of the
reference serve the third one better than its own.
"""

from seq2seq_jax.ablation import orderings, suite, sweep

NAMES = (
  "1 LSTM, no attention",
  "2 GRU, context at each step",
  "3 bidirectional GRU, attention",
)
GOLD = "3, the reference's words fed"
SMALL = """
  --model.embed_dim 128 --model.encoder.dim 256 --model.decoder.dim 256
  --train.steps 1135 --train.validate_every 227
"""
SMOKE = """
  --model.embed_dim 16 --model.encoder.dim 16 --model.decoder.dim 16
  --data.limit 2000 --data.buckets 1 --train.steps 60
  --train.validate_every 60
"""


def get_ablation() -> suite.Ablation:
  rows = [
    suite.Row(name, base=f"multi30k_ladder{n}.py")
    for n, name in enumerate(NAMES, 1)
  ]
  return suite.Ablation(
    title="Three tutorial models",
    paper="bentrevett/pytorch-seq2seq, notebooks 1 to 3",
    base="multi30k_ladder3.py",
    rows=(
      *sweep.with_published(rows, "bentrevett/ladder"),
      suite.Row(GOLD, "--optim.sampling none"),
    ),
    metric="bleu",
    metrics=("chrf",),
    reference=NAMES[0],
    orderings=(
      *orderings.rising(NAMES),
      orderings.above(GOLD, NAMES[2], judged=False),
    ),
    scales={
      "smoke": tuple(SMOKE.split()),
      "cpu": tuple(SMALL.split()),
      "gpu": (),
    },
    note=(
      "Published on spaCy's tokens, here on the official ones. At the scale "
      "cpu half the width and five epochs of ten. The last row is in no "
      "notebook, so its claim is not judged."
    ),
  )
