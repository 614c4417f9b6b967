"""Britz et al. 2017 (arXiv 1703.03906), table 1: width of embeddings.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_embeddings.py \\
      --workdir runs/britz_embeddings

Multi30k, English to German, their baseline at half its width; only the
embeddings change.

To be seen: no difference above 0.5 BLEU.
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
  widths = (128, 256, 512, 1024, 2048)
  names = tuple(str(n) for n in widths)
  rows = grid.product(grid.factor("--model.embed_dim", widths))
  return grid.Ablation(
    title="Width of embeddings",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 1",
    base="multi30k_britz.py",
    rows=tuple(grid.published(rows, "britz2017/embeddings")),
    metric="bleu",
    metrics=("loss",),
    reference="512",
    orderings=tuple(
      grid.alike(name, "512", 0.5) for name in names if name != "512"
    ),
    scales={
      "smoke": tuple(SMOKE.split()),
      "cpu": tuple(CPU.split()),
      "gpu": (),
      "pod": tuple(POD.split()),
    },
    rows_of={"smoke": names[:3], "cpu": names[:4]},
    note=(
      "Published: WMT15 English to German, newstest2013, multiplicative "
      "attention of 512. Here additive attention, as in the authors' released "
      "baseline. At the scale cpu widths of 128 and 10,000 sentences."
    ),
  )
