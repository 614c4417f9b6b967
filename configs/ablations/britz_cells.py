"""Britz et al. 2017 (arXiv 1703.03906), table 2: the recurrent cell.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_cells.py \\
      --workdir runs/britz_cells

Multi30k, English to German, their baseline at half its width. Vanilla-Dec has a
plain tanh decoder behind a GRU encoder, which their parameter counts imply.

To be seen: LSTM not below GRU, and the plain decoder at least 3 BLEU below the
two. Not yet run to its end: at the scale cpu the first thousand updates leave
the training loss near 6, so that scale needs another recipe first.
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


def get_ablation() -> grid.Ablation:
  rows = [
    grid.Row("GRU"),
    grid.Row("LSTM", ("--model.cell", "lstm")),
    grid.Row("Vanilla-Dec", ("--model.decoder_cell", "elman")),
  ]
  return grid.Ablation(
    title="Recurrent cells",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 2",
    base="multi30k_britz.py",
    rows=tuple(grid.published(rows, "britz2017/cells")),
    metric="bleu",
    metrics=("loss",),
    reference="GRU",
    orderings=(
      grid.above("LSTM", "GRU"),
      grid.above("GRU", "Vanilla-Dec", by=3),
      grid.above("LSTM", "Vanilla-Dec", by=3),
    ),
    scales={
      "smoke": (
        *("--train.steps", "60", "--train.validate_every", "60"),
        *("--data.limit", "2000", "--data.source.vocab_size", "1000"),
        *("--data.batch_size", "32", "--model.embed_dim", "32"),
        *("--model.encoder_dim", "32", "--model.decoder_dim", "32"),
        *("--model.attention_dim", "32", "--model.readout_dim", "32"),
        *("--decode.beam_size", "1"),
      ),
      "cpu": (
        *("--train.steps", "1000", "--data.batch_size", "64"),
        *("--train.validate_every", "500", "--decode.beam_size", "5"),
        *("--model.embed_dim", "128", "--model.encoder_dim", "128"),
        *("--model.decoder_dim", "128", "--model.attention_dim", "128"),
        *("--model.readout_dim", "128", "--model.init_scale", "0.08"),
      ),
      "gpu": (),
      "pod": tuple(POD.split()),
    },
    note=(
      "Published: WMT15 English to German, newstest2013, multiplicative "
      "attention of 512. Here additive attention, as in the authors' released "
      "baseline."
    ),
  )
