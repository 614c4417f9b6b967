"""A language of tones, made on the spot: speech recognition without any data.

    python -m seq2seq_jax.train configs/tones.py --workdir runs/tones
    python -m seq2seq_jax.evaluate --workdir runs/tones

2,000 sentences of one to six of twenty words; a word is one to three phones,
and a phone two tones (`seq2seq_jax/data/tones.py`). A GRU with location-aware
attention and CTC. About 80 CPU seconds, compilation included. Word errors of
500 test sentences, and with `--data.test 8-12` of longer ones than it was
trained on, one seed, by `--decode.ctc_weight`: 0.8 and 26.2 % at 0, 0.4 and
7.4 % at 0.5, 0.1 and 0.1 % at 1. `docs/speech.md` goes on from here.
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="tones",
      synthetic=config.Synthetic(
        train=2000, valid=200, test=500, min_length=1, max_length=6, symbols=20
      ),
      audio=config.Audio(rate=8000, bins=32),
      batch_size=32,
      buckets=1,
      max_source_length=600,
      max_target_length=20,
    ),
    model=config.Model(
      embed_dim=32,
      encoder=config.Encoder(
        cell="gru",
        features=32,
        front_end="convolution",
        front_end_channels=8,
        dim=64,
        direction="both",
      ),
      decoder=config.Decoder(dim=64),
      attention=config.Attention(score="location_aware", dim=64),
      readout=config.Readout(dim=64),
      dropout=config.Dropout(embed=0.1, rnn=0.1),
    ),
    optim=config.Optim(
      learning_rate=4e-3,
      warmup_steps=50,
      schedule="cosine",
      clip_norm=5.0,
      objectives=("likelihood=0.5", "ctc=0.5"),
    ),
    train=config.Train(
      # Thirteen epochs.
      steps=800,
      validate_every=200,
      metric="wer",
      metrics=("exact_match",),
    ),
    decode=config.Decode(
      beam_size=5,
      length_rule="none",
      ctc_weight=0.5,
      length_step=128,
      max_ratio=0.1,
      max_extra=5,
    ),
  )
