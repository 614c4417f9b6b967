"""Press & Wolf 2017 (arXiv 1608.05859): shared embeddings.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/tied_embeddings.py \\
      --workdir runs/tied_embeddings

Multi30k, English to German, the model of `multi30k_britz.py`: no matrix shared,
target embedding and softmax, or these and the source embedding.

To be seen: no loss with far fewer parameters. The published numbers are
recalled, unconfirmed, so nothing is judged.
"""

from seq2seq_jax.ablation import grid

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


def get_ablation() -> grid.Ablation:
  rows = [
    grid.Row("baseline"),
    grid.Row("decoder", ("--model.tie", "decoder")),
    grid.Row("three-way", ("--model.tie", "all")),
  ]
  return grid.Ablation(
    title="Shared embeddings",
    paper="Press & Wolf 2017 (arXiv 1608.05859)",
    base="multi30k_britz.py",
    rows=tuple(grid.published(rows, "press_wolf2017/ende")),
    metric="bleu",
    metrics=("loss",),
    reference="baseline",
    orderings=(
      grid.alike("decoder", "baseline", 0.5, judged=False),
      grid.alike("three-way", "baseline", 0.5, judged=False),
    ),
    scales={
      "smoke": tuple(SMOKE.split()),
      "cpu": tuple(CPU.split()),
      "gpu": (),
      "pod": tuple(POD.split()),
    },
    note="Published: WMT14 English to German (recalled, unconfirmed).",
  )
