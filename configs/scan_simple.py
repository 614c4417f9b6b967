"""SCAN, simple split (Lake & Baroni 2018, arXiv 1711.00350).

    python -m seq2seq_jax.train configs/scan_simple.py --workdir runs/scan

Generated data, no download; two to six minutes on two CPU cores. Published on
this split: 99.8 % exact match (LSTM 2 x 200, no attention, 100,000 updates of
one example each).
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="scan",
      name="simple",
      holdout=256,
      batch_size=128,
      buckets=4,
    ),
    model=config.Model(
      embed_dim=64,
      encoder=config.Encoder(
        cell="lstm",
        dim=64,
        layers=1,
        direction="both",
      ),
      decoder=config.Decoder(dim=128),
      attention=config.Attention(score="general"),
      readout=config.Readout(dim=128),
      dropout=config.Dropout(rnn=0.1),
    ),
    optim=config.Optim(
      learning_rate=3e-3,
      schedule="cosine",
      warmup_steps=100,
      clip_norm=1.0,
    ),
    train=config.Train(
      steps=2400,
      validate_every=600,
      metric="exact_match",
    ),
    decode=config.Decode(beam_size=1, max_ratio=5.0, max_extra=10),
  )
