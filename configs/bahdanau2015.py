"""Bahdanau, Cho & Bengio 2015 (arXiv 1409.0473), RNNsearch-50, WMT14 En-Fr.

Attention with the decoder's state of the step before, over a bidirectional GRU;
a maxout readout of previous state, embedding and context (appendix A).

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/fr-en --data-dir DIR
    python -m seq2seq_jax.train configs/bahdanau2015.py \\
      --workdir runs/bahdanau2015 --data.root DIR

RNNsearch-30: `--data.max_source_length 31 --data.max_target_length 31
--train.steps 471000`. RNNencdec-50, the fixed vector:

    python -m seq2seq_jax.train configs/bahdanau2015.py \\
      --workdir runs/rnnencdec --data.root DIR \\
      --model.attention.score none --model.decoder.placement luong \\
      --model.readout.state new --model.decoder.context_at both \\
      --model.encoder.direction forward --model.decoder.bridge dense \\
      --train.steps 600000

Hardware: one GPU of 24 GB or more, days (an estimate; theirs took 111 hours on
a K6000). Not trained here. Published on newstest2014, all sentences, in
tokenised BLEU (transcribed; updates read in the paper): RNNsearch-50 26.75
after 288,000 updates and 28.45 after 667,000 (`--train.steps 667000`),
RNNsearch-30 21.50, RNNencdec-50 17.82, RNNencdec-30 13.93.

What differs: 30,000 BPE pieces a side take the place of the 30,000 commonest
words, so 50 counts pieces and there are no unknown words; all of WMT 2014
stands for the selected 348 M words; batches are made by length over the whole
epoch, and not out of 1,600 pairs at a time; validation is newstest2013 alone.
Biases are added where the paper leaves them out.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "wmt14_translate/fr-en",
      "en",
      "fr",
      source=config.Text(tokenizer="bpe", vocab_size=30000),
      target=config.Text(tokenizer="bpe", vocab_size=30000),
      max_source_length=51,
      max_target_length=51,
      batch_size=80,
      buckets=8,
    ),
    model=config.Model(
      embed_dim=620,
      encoder=config.Encoder(
        cell="gru_bahdanau",
        dim=1000,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=1000,
        bridge="backward",
        placement="bahdanau",
        input_feeding=False,
      ),
      attention=config.Attention(
        score="additive",
        dim=1000,
      ),
      readout=config.Readout(
        kind="maxout",
        dim=500,
        inputs="all",
        state="previous",
      ),
      init=config.Init(weights="bahdanau"),
    ),
    optim=config.Optim(
      optimizer="adadelta",
      learning_rate=1.0,
      b2=0.95,
      eps=1e-6,
      clip_norm=1.0,
      normalize="sentences",
    ),
    train=config.Train(
      steps=288000,
      validate_every=6000,
      log_every=100,
      metric="bleu",
    ),
    decode=config.Decode(beam_size=12, length_rule="average", alpha=1.0),
  )
