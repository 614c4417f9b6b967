"""Multi30k, English to German: the baseline of Britz et al. 2017, for a CPU.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_britz_small.py \\
      --workdir runs/britz_small

As `multi30k_britz.py`, all widths 128, batches of 64, four and a half epochs in
about ten minutes of one CPU core. Used by the tables
`configs/ablations/britz_*.py`.

What differs besides: initial weights are PyTorch's, whose embeddings have
deviation 1, and the learning rate is 2e-3. From small uniform weights, as the
paper's are, so few updates teach this decoder of two layers next to nothing:
the signal of a small embedding fades on its way up.
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
      batch_size=64,
      buckets=5,
      max_source_length=51,
      max_target_length=51,
    ),
    model=config.Model(
      embed_dim=128,
      encoder=config.Encoder(
        cell="gru_cho",
        dim=128,
        layers=1,
        direction="both",
        stacking="separate",
      ),
      decoder=config.Decoder(
        dim=128,
        layers=2,
        bridge="zero",
        placement="luong",
        input_feeding=True,
        feed="context",
      ),
      attention=config.Attention(
        score="additive",
        dim=128,
      ),
      readout=config.Readout(
        kind="tanh",
        dim=128,
      ),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
        last=False,
      ),
      init=config.Init(weights="pytorch"),
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=2e-3,
      eps=8e-7,
      schedule="cosine",
      warmup_steps=200,
      clip_norm=5.0,
    ),
    train=config.Train(
      steps=2000,
      validate_every=500,
      metric="bleu",
      bleu_tokenize="none",
    ),
    decode=config.Decode(beam_size=5, length_rule="gnmt", alpha=1.0),
  )
