"""A model of a few thousand parameters that copies; for tests alone."""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="copy",
      synthetic=config.Synthetic(
        train=300, valid=40, test=60, max_length=6, symbols=5
      ),
      batch_size=16,
      buckets=2,
    ),
    model=config.Model(
      embed_dim=16,
      encoder=config.Encoder(dim=16),
      decoder=config.Decoder(dim=32),
      attention=config.Attention(score="general"),
      readout=config.Readout(dim=16),
      dropout=config.Dropout(
        embed=0.1,
        rnn=0.1,
        readout=0.1,
      ),
    ),
    optim=config.Optim(
      learning_rate=1e-2, schedule="plateau", plateau_patience=1, ema_decay=0.9
    ),
    train=config.Train(
      steps=120,
      validate_every=20,
      log_every=5,
      metric="exact_match",
      patience=4,
      average=2,
      checkpoint_minutes=0,
    ),
    decode=config.Decode(beam_size=3, batch_rows=16),
  )
