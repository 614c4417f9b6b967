"""Strings of spoken digits: a small GRU with attention and CTC, on a laptop.

    python -m seq2seq_jax.data.manifest fsdd FOLDER --out data/fsdd
    python -m seq2seq_jax.train configs/fsdd_strings.py --workdir runs/fsdd \\
      --data.root data/fsdd
    python -m seq2seq_jax.evaluate --workdir runs/fsdd --data.root data/fsdd

12,000 strings of one to seven digits, each put together from recordings of one
speaker of the Free Spoken Digit Dataset (Jakobovski/free-spoken-digit-dataset),
with pauses of 50 to 200 ms; `test_long.jsonl` has strings of 8 to 12. A word is
a digit, so that `wer` is the digit error rate. No result is published for
strings. Four minutes on one core; digit errors of three seeds, in per cent:
test 0.01, test_long 4.8, and 0.1 by CTC alone (`--decode.ctc_weight 1`).
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="audio",
      train=("train.jsonl",),
      valid=("dev.jsonl",),
      test=("test.jsonl",),
      audio=config.Audio(rate=8000, bins=40),
      target=config.Text(tokenizer="word"),
      batch_size=32,
      buckets=5,
      max_source_length=1200,
      max_target_length=20,
    ),
    model=config.Model(
      embed_dim=32,
      encoder=config.Encoder(
        cell="gru",
        features=40,
        front_end="convolution",
        front_end_channels=16,
        dim=128,
        direction="both",
      ),
      decoder=config.Decoder(dim=128),
      attention=config.Attention(score="location_aware", dim=128),
      readout=config.Readout(dim=128),
      dropout=config.Dropout(embed=0.1, rnn=0.2),
    ),
    optim=config.Optim(
      learning_rate=2e-3,
      warmup_steps=100,
      schedule="cosine",
      clip_norm=5.0,
      objectives=("likelihood=0.5", "ctc=0.5"),
    ),
    train=config.Train(
      # Five epochs.
      steps=2000,
      validate_every=500,
      metric="wer",
      metrics=("exact_match",),
    ),
    decode=config.Decode(
      beam_size=10,
      ctc_weight=0.5,
      length_rule="none",
      max_ratio=0.1,
      max_extra=5,
    ),
  )
