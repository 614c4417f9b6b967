"""Britz et al. 2017 (arXiv 1703.03906), the baseline of all their tables.

English to German. A GRU encoder of one layer in each direction (what they call
"Bidi-2" and "Enc-2"), two decoder layers, additive attention of 512, all widths
512, the decoder starting at 0. The context is fed to the next step, and a tanh
layer stands before the softmax, as in their code; the paper's formula has none.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/de-en --data-dir DIR
    python -m seq2seq_jax.train configs/britz2017.py \\
      --workdir runs/britz2017 --data.root DIR

Deeper encoders are stacks of their own in each direction: their Enc-4 is
`--model.encoder.layers 2`, Enc-8-ResD is `--model.encoder.layers 4
--model.residual dense`, Uni-2R is `--model.encoder.stacking joint
--model.encoder.direction forward --model.encoder.layers 2
--data.reverse_source True`.

Hardware: one GPU, about a week (an estimate). Not trained here. Published on
newstest2013, the validation set here, in tokenised BLEU (transcribed): 22.47 +-
0.27 with additive attention of 512 and 66.33 M parameters (here 66.31 M); their
other tables start from multiplicative attention, 21.78 +- 0.05
(`--model.attention.score multiplicative`).

What differs: the gradient of the embeddings is not clipped on its own (theirs
to 0.1); one synchronous batch takes the place of eight asynchronous workers;
WMT 2014's training text that of 2016; residual connections begin at the second
layer (theirs: the first). 37,000 pieces are what their parameter counts imply
for 32,000 BPE merges. 2.5 M steps are recalled, unconfirmed, and an upper
bound: the best checkpoint counts.
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
      max_source_length=51,
      max_target_length=51,
      batch_size=128,
      buckets=5,
    ),
    model=config.Model(
      embed_dim=512,
      encoder=config.Encoder(
        cell="gru_cho",
        dim=512,
        layers=1,
        direction="both",
        stacking="separate",
      ),
      decoder=config.Decoder(
        dim=512,
        layers=2,
        bridge="zero",
        placement="luong",
        input_feeding=True,
        feed="context",
      ),
      attention=config.Attention(
        score="additive",
        dim=512,
      ),
      readout=config.Readout(
        kind="tanh",
        dim=512,
      ),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
        last=False,
      ),
      init=config.Init(
        weights="uniform",
        scale=0.04,
      ),
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=1e-4,
      eps=8e-7,
      clip_norm=5.0,
    ),
    train=config.Train(
      steps=2_500_000,
      validate_every=10000,
      log_every=100,
      metric="bleu",
    ),
    decode=config.Decode(beam_size=10, length_rule="gnmt", alpha=1.0),
  )
