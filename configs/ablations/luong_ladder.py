"""Luong et al. 2015 (arXiv 1508.04025), table 1: a ladder of improvements.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/luong_ladder.py \\
      --workdir runs/luong_ladder

Multi30k, German to English. Each row adds to the one before; unknown words are
replaced in search alone, so that row shares its training with local-p's.

To be seen: no step loses more than 0.3 BLEU, attention with feeding is worth at
least 3 over the same model without, and no step is larger than attention.
"""

import dataclasses

from seq2seq_jax.ablation import orderings, scales, suite, sweep

BASE = """
  --data.reverse_source False --model.dropout.embed 0 --model.dropout.rnn 0
  --model.attention.score none --model.attention.window none
  --model.decoder.input_feeding False
"""

# Of 13 words, where the paper's 10 go with 26.
WINDOW = ("--model.attention.window_size", "4")
ONE_LAYER = ("--model.encoder.layers", "1", "--model.decoder.layers", "1")
# The first two rows' course, without dropout: in the paper's epochs.
EPOCH = 4_500_000 // 128
TEN_EPOCHS = (
  *("--train.steps", str(10 * EPOCH)),
  *("--optim.decay_start", str(5 * EPOCH)),
)


def get_ablation() -> suite.Ablation:
  rows = sweep.ladder(
    suite.Row("base", BASE),
    ("+ reverse", "--data.reverse_source True"),
    ("+ dropout", "--model.dropout.embed 0.2 --model.dropout.rnn 0.2"),
    ("+ global (location)", "--model.attention.score location"),
    ("+ feed", "--model.decoder.input_feeding True"),
    (
      "local-p (general)",
      "--model.attention.score general --model.attention.window predictive",
    ),
    ("+ unknown words", "--decode.replace_unknown True"),
  )
  rows[:2] = [
    dataclasses.replace(row, overrides_by_scale={"pod": TEN_EPOCHS})
    for row in rows[:2]
  ]
  steps = [row.name for row in rows]
  rows = sweep.with_published(rows, "luong2015/ladder")
  rows.append(
    suite.Row(
      "ensemble of 4",
      rows[-1].overrides,
      "luong2015/ladder/ensemble of 8",
      ensemble=4,
    )
  )
  return suite.Ablation(
    title="Ladder to local attention",
    paper="Luong et al. 2015 (arXiv 1508.04025), table 1",
    base="multi30k_luong.py",
    rows=tuple(rows),
    metric="bleu",
    metrics=("perplexity",),
    reference="base",
    orderings=(
      *orderings.rising(steps, by=-0.3),
      orderings.above("+ feed", "+ dropout", by=3),
      *(
        _largest(better, worse)
        for worse, better in (
          ("base", "+ reverse"),
          ("+ reverse", "+ dropout"),
          ("+ global (location)", "+ feed"),
          ("+ feed", "local-p (general)"),
          ("local-p (general)", "+ unknown words"),
        )
      ),
      orderings.above("ensemble of 4", "+ unknown words"),
    ),
    base_by_scale={"pod": "luong2015.py"},
    scales=scales.multi30k(
      smoke=(*scales.width(32), *ONE_LAYER, *WINDOW),
      cpu=(*scales.width(128), *ONE_LAYER, *WINDOW),
      gpu=WINDOW,
      pod=(),
    ),
    # Subwords leave no unknown words to replace.
    rows_by_scale={"pod": tuple(steps[:-1])},
    curves=("luong2015/curves/none", "luong2015/curves/local-p"),
    note=(
      "Published: WMT14 English to German, four layers of 1,000; its last row "
      "is an ensemble of eight. Its first two rows were trained for ten "
      "epochs, the others for twelve; below the scale pod all are trained "
      "alike, and windows reach 4 words to either side where the paper's reach "
      "10. At the scale cpu one layer of 128 on 10,000 sentences. An "
      "unknown word is replaced by what is attended to at its own step; the "
      "author's thesis takes the step after it for content-based scores "
      "(decode.unknown_attention next)."
    ),
  )


def _largest(better: str, worse: str) -> orderings.Ordering:
  """Attention gains at least as much as another step."""
  return orderings.Ordering(
    f"attention gains more than {better}",
    (
      orderings.Term(1, "+ global (location)"),
      orderings.Term(-1, "+ dropout"),
      orderings.Term(-1, better),
      orderings.Term(1, worse),
    ),
  )
