"""Multi30k, English to German: the baseline of Britz et al. 2017, half as wide.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_britz.py --workdir runs/britz

As `britz2017.py` (arXiv 1703.03906): a GRU encoder of one layer in each
direction, two decoder layers that start at 0, additive attention, the context
fed to the next step; all widths 256. Thirteen epochs of batches of 128
over 5,000 joint subwords. Used by the tables `configs/ablations/britz_*.py`.

What differs: the learning rate is ten times higher and falls, since there are
3,000 updates and not millions; initial weights have the variance that a width
of 256 needs for activations as large as theirs; the set is Multi30k, the
official lower-cased tokenised text.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.multi30k(
      "en",
      "de",
      source=config.Text(tokenizer="bpe", vocab_size=5000),
      joint=True,
      batch_size=128,
      buckets=5,
      max_source_length=51,
      max_target_length=51,
    ),
    model=config.Model(
      embed_dim=256,
      encoder=config.Encoder(
        cell="gru_cho",
        dim=256,
        layers=1,
        direction="both",
        stacking="separate",
      ),
      decoder=config.Decoder(
        dim=256,
        layers=2,
        bridge="zero",
        placement="luong",
        input_feeding=True,
        feed="context",
      ),
      attention=config.Attention(
        score="additive",
        dim=256,
      ),
      readout=config.Readout(
        kind="tanh",
        dim=256,
      ),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
        last=False,
      ),
      init=config.Init(
        weights="uniform",
        scale=0.0566,
      ),
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=1e-3,
      eps=8e-7,
      schedule="cosine",
      warmup_steps=200,
      clip_norm=5.0,
    ),
    train=config.Train(
      steps=3000,
      validate_every=500,
      metric="bleu",
      bleu_tokenize="none",
    ),
    decode=config.Decode(beam_size=10, length_rule="gnmt", alpha=1.0),
  )
