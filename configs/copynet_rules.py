"""CopyNet's synthetic rules (Gu et al. 2016, arXiv 1603.06393, section 5.1).

    python -m seq2seq_jax.train configs/copynet_rules.py --workdir runs/copynet
    python -m seq2seq_jax.evaluate --workdir runs/copynet

and for RNNSearch and the plain encoder-decoder, as the paper compares them:

    ... --model.head softmax
    ... --model.head softmax --model.attention.score none \\
      --model.decoder.placement luong

One kind of rule alone, for the columns of the paper's table:

    python -m seq2seq_jax.evaluate --workdir runs/copynet --data.test x_xx

Sources end with EOS here, which can be copied too; the authors' have none.

Bidirectional GRU of 300 and embeddings of 150, as published; beam 10. 200
rules, 20,000 training instances, generated. Published accuracy (recalled,
unconfirmed), x_0 / x_x / x_xx / xy_x / xy_xy: encoder-decoder 100 / 3.3 / 1.5 /
2.9 / 0.0, RNNSearch 99.0 / 69.4 / 22.3 / 40.7 / 2.6, CopyNet 97.3 / 93.7 / 98.3
/ 68.2 / 77.5. On two CPU cores some hours; on a GPU minutes (an estimate).
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="copy_rules",
      name="all",
      batch_size=64,
      buckets=4,
    ),
    model=config.Model(
      embed_dim=150,
      encoder=config.Encoder(
        cell="gru_bahdanau",
        dim=300,
      ),
      decoder=config.Decoder(
        dim=300,
        bridge="dense",
        placement="bahdanau",
        input_feeding=False,
      ),
      attention=config.Attention(
        score="additive",
        dim=300,
      ),
      readout=config.Readout(kind="linear"),
      head="copynet",
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      schedule="cosine",
      warmup_steps=200,
      clip_norm=1.0,
    ),
    train=config.Train(
      steps=6000,
      validate_every=1000,
      metric="exact_match",
    ),
    decode=config.Decode(
      beam_size=10, length_rule="none", max_ratio=2.0, max_extra=20
    ),
  )
