"""Sutskever et al. 2014 (arXiv 1409.3215): reversal, depth, ensembles, beams.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate \\
      configs/ablations/reversal_depth_ensemble.py --workdir runs/reversal

Multi30k, German to English, deep LSTMs without attention. Rows of an ensemble
have models of their own for each seed, shared among beam sizes.

To be seen: a reversed source is worth at least 1 BLEU, its perplexity is at
most 0.92 of the other's; more models are better, and five of them with greedy
search beat one with beam 12. Of depth the paper says that every layer takes
nearly a tenth off the perplexity: it must fall; BLEU's order is not judged.
"""

import math

from seq2seq_jax.ablation import orderings, suite

SMOKE = """
  --data.buckets 1
  --data.limit 2000 --data.batch_size 32 --model.embed_dim 32
  --model.encoder.dim 32 --model.decoder.dim 32 --train.steps 60
  --train.validate_every 60
"""
CPU = """
  --data.limit 10000 --data.batch_size 64 --model.embed_dim 128
  --model.encoder.dim 128 --model.decoder.dim 128 --train.steps 1500
"""
PUBLISHED = "sutskever2014/bleu"


def _deep(layers: int, reverse: bool) -> suite.Row:
  words = ["--model.encoder.layers", str(layers)]
  words += ["--model.decoder.layers", str(layers)]
  words += ["--data.reverse_source", str(reverse)]
  name = "reversed" if reverse else "forward"
  return suite.Row(f"{name}, layers {layers}", tuple(words))


def _together(models: int, beam: int) -> suite.Row:
  name = f"ensemble of {models}, beam {beam}"
  words = ("--decode.beam_size", str(beam))
  return suite.Row(name, words, f"{PUBLISHED}/{name}", ensemble=models)


def get_ablation() -> suite.Ablation:
  forward, reverse = "single forward, beam 12", "single reversed, beam 12"
  together = [_together(*n) for n in ((2, 12), (5, 1), (5, 2), (5, 12))]
  return suite.Ablation(
    title="Reversal, depth, ensembles",
    paper="Sutskever et al. 2014 (arXiv 1409.3215)",
    base="multi30k_sutskever.py",
    rows=(
      suite.Row(
        forward,
        ("--data.reverse_source", "False"),
        f"{PUBLISHED}/{forward}",
      ),
      suite.Row(reverse, (), f"{PUBLISHED}/{reverse}"),
      suite.Row("single reversed, beam 1", ("--decode.beam_size", "1")),
      *together,
      *(_deep(n, r) for n in (1, 4) for r in (False, True)),
    ),
    metric="bleu",
    metrics=("perplexity", "loss"),
    reference=reverse,
    orderings=(
      orderings.above(reverse, forward, by=1),
      _perplexity(reverse, forward, 0.92),
      orderings.above(reverse, "single reversed, beam 1"),
      orderings.above("ensemble of 2, beam 12", reverse),
      orderings.above("ensemble of 5, beam 12", "ensemble of 2, beam 12"),
      orderings.above("ensemble of 5, beam 1", reverse),
      orderings.above("ensemble of 5, beam 2", "ensemble of 5, beam 1"),
      orderings.above(
        "ensemble of 5, beam 12", "ensemble of 5, beam 2", by=-0.3
      ),
      orderings.above(reverse, "reversed, layers 1", judged=False),
      orderings.above("reversed, layers 4", reverse, judged=False),
      orderings.below(reverse, "reversed, layers 1", "perplexity"),
      orderings.below("reversed, layers 4", reverse, "perplexity"),
    ),
    base_by_scale={"pod": "sutskever2014.py"},
    scales={
      "smoke": tuple(SMOKE.split()),
      "cpu": tuple(CPU.split()),
      "gpu": (),
      "pod": (),
    },
    rows_by_scale={
      "smoke": (forward, reverse, "ensemble of 2, beam 12"),
      # Four layers are what all the other rows have there.
      "pod": (
        *(forward, reverse, "single reversed, beam 1"),
        *(row.name for row in together),
        *("forward, layers 1", "reversed, layers 1"),
      ),
    },
    note=(
      "Published: WMT14 English to French, four layers of 1,000. Here two "
      "layers, of 128 at the scale cpu."
    ),
  )


def _perplexity(row: str, other: str, share: float) -> orderings.Ordering:
  """A ratio of perplexities is a difference of losses."""
  return orderings.Ordering(
    f"perplexity of {row} at most {share:g} of that of {other} (loss)",
    (
      orderings.Term(1, row, metric="loss"),
      orderings.Term(-1, other, metric="loss"),
    ),
    low=float("-inf"),
    high=math.log(share),
    points=False,
  )
