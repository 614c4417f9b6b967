"""Vaswani et al. 2017 (arXiv 1706.03762), the base Transformer, WMT14 En-De.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/de-en --data-dir DIR
    python -m seq2seq_jax.train configs/vaswani2017.py \\
      --workdir runs/vaswani2017 --data.root DIR
    python -m seq2seq_jax.evaluate --workdir runs/vaswani2017 \\
      --checkpoint average

Hardware: one GPU of 80 GB, two days (an estimate; theirs took 12 hours on eight
P100). Not trained here. Published on newstest2014: 27.3 BLEU, tokenised and
with compounds split, and 65 M parameters (recalled, unconfirmed); 27.26 +- 0.15
by another hand (Chen et al. 2018: recalled, unconfirmed).

What differs: 25,000 tokens a batch are those of the longer padded side, so real
ones are fewer; the rate rises to what their formula gives and then falls by the
same inverse root; in the decoder dropout falls on the embedding before, not
behind, the sum with positions. The last five validated checkpoints, 1,500
updates apart, stand for their five of ten minutes.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "wmt14_translate/de-en",
      "en",
      "de",
      source=config.Text(tokenizer="bpe", vocab_size=37000),
      joint=True,
      max_source_length=150,
      max_target_length=150,
      batch_size=25000,
      batch_unit="tokens",
      buckets=8,
    ),
    model=config.Model(
      embed_dim=512,
      encoder=config.Encoder(kind="transformer"),
      decoder=config.Decoder(kind="transformer"),
      transformer=config.Transformer(
        dim=512,
        layers=6,
        heads=8,
        hidden=2048,
        norm="post",
        positions="sinusoidal",
      ),
      dropout=config.Dropout(
        embed=0.1,
        rnn=0.1,
      ),
      tie="all",
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=(512 * 4000) ** -0.5,
      b2=0.98,
      eps=1e-9,
      clip_norm=0.0,
      schedule="inverse_sqrt",
      warmup_steps=4000,
      label_smoothing=0.1,
    ),
    train=config.Train(
      steps=100000,
      validate_every=1500,
      log_every=100,
      metric="bleu",
      keep_last=5,
      average=5,
    ),
    decode=config.Decode(
      beam_size=4,
      length_rule="gnmt",
      alpha=0.6,
      max_ratio=1.0,
      max_extra=50,
    ),
  )
