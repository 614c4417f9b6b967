"""CMUdict, letters to phones: an attentional LSTM (Toshniwal & Livescu 2016).

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds g2p_cmudict
    python -m seq2seq_jax.train configs/g2p_cmudict.py --workdir runs/g2p
    python -m seq2seq_jax.evaluate --workdir runs/g2p

The split of PRONALSYL 2007: 106,837 words for training, 12,000 for the test;
words with 2,000 pronunciations are set aside for validation. A bidirectional
LSTM and general attention, 256 units in one layer (arXiv 1610.06540 has three
of 512, as recalled). `wer` counts phones here, so that it is the field's phone
error rate, and 100 less `exact_match` is its word error rate: of a word's
pronunciations the closest one counts. Published on this split, in word errors:
32.03 (LSTM of 2 x 64) and 24.23 (2 x 512), by g2p-seq2seq.
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="tsv",
      train=("g2p_cmudict/train.tsv.gz",),
      test=("g2p_cmudict/test.tsv.gz",),
      holdout=2000,
      alternatives=True,
      source=config.Text(tokenizer="char"),
      target=config.Text(tokenizer="word"),
      batch_size=128,
      buckets=3,
      max_source_length=30,
      max_target_length=30,
    ),
    model=config.Model(
      embed_dim=128,
      encoder=config.Encoder(
        cell="lstm",
        dim=256,
        direction="both",
      ),
      decoder=config.Decoder(dim=256),
      attention=config.Attention(score="general"),
      readout=config.Readout(dim=256),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
      ),
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      schedule="cosine",
      warmup_steps=200,
      clip_norm=5.0,
    ),
    train=config.Train(
      # Ten epochs.
      steps=8600,
      validate_every=860,
      metric="exact_match",
      metrics=("wer",),
    ),
    decode=config.Decode(beam_size=3, length_rule="none", max_extra=10),
  )
