"""Multi30k, German to English: a small RNNsearch (Bahdanau et al. 2015).

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_gru.py --workdir runs/gru

Additive attention with the decoder's previous state over a bidirectional GRU,
of 256 units a side and direction, for one CPU core. The fixed vector in its
place, from a forward encoder as in the paper, read at every step:

    python -m seq2seq_jax.train configs/multi30k_gru.py --workdir runs/fixed \\
      --model.attention.score none --model.decoder.placement luong \\
      --model.encoder.direction forward --model.decoder.context_at both

Words seen at least twice, on the official lower-cased tokenised text. The
checkpoint is chosen by greedy BLEU on the validation set; BLEU is of tokenised
lower-cased text. Used by the tables of `configs/ablations`.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.multi30k(
      "de",
      "en",
      source=config.Text(tokenizer="word", vocab_size=8000, min_count=2),
      target=config.Text(tokenizer="word", vocab_size=6000, min_count=2),
      batch_size=64,
      buckets=5,
      max_source_length=50,
      max_target_length=50,
    ),
    model=config.Model(
      embed_dim=256,
      encoder=config.Encoder(
        cell="gru_bahdanau",
        dim=256,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=256,
        bridge="dense",
        placement="bahdanau",
        input_feeding=False,
      ),
      attention=config.Attention(
        score="additive",
        dim=256,
      ),
      readout=config.Readout(
        kind="maxout",
        dim=256,
        inputs="all",
      ),
      dropout=config.Dropout(
        embed=0.3,
        readout=0.3,
      ),
      tie="decoder",
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      schedule="cosine",
      warmup_steps=200,
      clip_norm=1.0,
    ),
    train=config.Train(
      steps=2250,
      validate_every=750,
      metric="bleu",
      bleu_tokenize="none",
    ),
    decode=config.Decode(beam_size=5, length_rule="average", alpha=1.0),
  )
