"""Britz et al. 2017 (arXiv 1703.03906), table 5: attention.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_attention.py \\
      --workdir runs/britz_attention

Multi30k, English to German, their baseline at half its width. Add-512 scores
with a hidden layer of 512. None-State hands the decoder the encoder's last
state at the start, None-Input at every step. Their multiplicative score, two
matrices and no scale, is not among the scores here: the nearest, Luong's
general one, has one matrix and no width of its own, and stands beside nothing.

To be seen: any attention is better than none by at least 4 BLEU; the width of
the additive score hardly matters; the fixed vector is better at every step than
at the start.
"""

from seq2seq_jax.ablation import grid

NONES = ("None-State", "None-Input")

# `configs/britz2017.py`.
POD = """
  --data.task tfds --data.name wmt14_translate/de-en --data.train train
  --data.valid validation --data.test test --data.source_field en
  --data.target_field de --data.source.vocab_size 37000
  --model.embed_dim 512 --model.encoder_dim 512 --model.decoder_dim 512
  --model.attention_dim 512 --model.readout_dim 512 --model.init_scale 0.04
  --optim.learning_rate 1e-4 --optim.schedule constant --optim.warmup_steps 0
  --train.steps 2500000 --train.validate_every 10000 --train.log_every 100
  --train.bleu_tokenize 13a
"""
SMOKE = """
  --data.limit 2000 --data.source.vocab_size 1000 --data.batch_size 32
  --model.embed_dim 32 --model.encoder_dim 32 --model.decoder_dim 32
  --model.attention_dim 32 --model.readout_dim 32
  --train.steps 60 --train.validate_every 60 --decode.beam_size 1
"""
CPU = """
  --data.limit 10000 --data.source.vocab_size 3000 --data.batch_size 64
  --model.embed_dim 128 --model.encoder_dim 128 --model.decoder_dim 128
  --model.attention_dim 128 --model.readout_dim 128 --model.init_scale 0.08
  --train.steps 1500 --decode.beam_size 5
"""


NONE = "--model.attention none --model.input_feeding False --model.feed readout"


def get_ablation() -> grid.Ablation:
  add = grid.product(
    grid.factor("--model.attention_dim", (128, 256, 512, 1024), "Add-{}")
  )
  without = [
    grid.Row("None-State", f"{NONE} --model.bridge dense"),
    grid.Row("None-Input", f"{NONE} --model.context_at every_step"),
  ]
  general = grid.Row("general", ("--model.attention", "general"))
  names = tuple(row.name for row in add)
  rows = grid.published([*add, *without], "britz2017/attention")
  return grid.Ablation(
    title="Attention",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 5",
    base="multi30k_britz.py",
    rows=(*rows, general),
    metric="bleu",
    metrics=("loss",),
    reference="Add-512",
    orderings=(
      *(grid.above(n, w.name, by=4) for n in names for w in without),
      grid.above("None-Input", "None-State"),
      *(grid.alike(n, "Add-512", 0.5) for n in names if n != "Add-512"),
    ),
    scales={
      "smoke": tuple(SMOKE.split()),
      "cpu": tuple(CPU.split()),
      "gpu": (),
      "pod": tuple(POD.split()),
    },
    rows_of={
      "smoke": ("Add-128", "None-State", "None-Input", "general"),
      "cpu": ("Add-128", "Add-256", "Add-512", *NONES, "general"),
    },
    note=(
      "Published: WMT15 English to German, newstest2013. None-State goes "
      "through a tanh layer, since encoder and decoder differ in shape."
    ),
  )
