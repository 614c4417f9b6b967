"""Copying and reversing 10 to 60 symbols: what a fixed vector cannot hold.

    python -m seq2seq_jax.train configs/copy_long.py --workdir runs/copy
    python -m seq2seq_jax.evaluate --workdir runs/copy

    ... --data.task reverse
    ... --model.attention.score none --model.decoder.input_feeding False
    ... --model.attention.score location_aware
    ... --model.attention.window monotonic

The second has a fixed vector; of the last two, which align monotonically, see
analysis/alignment.py.

Generated data, no download; 7 minutes on one CPU core. No paper's table: that
a fixed vector fails with the length and attention does not is Bahdanau et al.
2015 (arXiv 1409.0473), figure 2. Measured figures: the README.
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="copy",
      synthetic=config.Synthetic(
        train=20000,
        valid=256,
        test=1000,
        min_length=10,
        max_length=60,
        symbols=50,
      ),
      batch_size=64,
      buckets=4,
    ),
    model=config.Model(
      embed_dim=64,
      encoder=config.Encoder(
        cell="lstm",
        dim=128,
        direction="both",
      ),
      decoder=config.Decoder(dim=256),
      attention=config.Attention(score="general"),
      readout=config.Readout(dim=128),
    ),
    optim=config.Optim(
      learning_rate=2e-3,
      schedule="cosine",
      warmup_steps=200,
      clip_norm=1.0,
    ),
    train=config.Train(
      steps=2000,
      validate_every=500,
      metric="exact_match",
    ),
    decode=config.Decode(beam_size=1, max_ratio=1.2, max_extra=5),
  )
