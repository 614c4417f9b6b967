"""Luong, Pham & Manning 2015 (arXiv 1508.04025), WMT 2014 English to German.

The best single model of their Table 1: four LSTM layers of 1,000 units,
reversed source, dropout 0.2, local attention with predicted centres (local-p)
and general score, input feeding. Twelve epochs of SGD, the rate halved every
epoch after the eighth.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/de-en --data-dir DIR
    python -m seq2seq_jax.train configs/luong2015.py \\
      --workdir runs/luong2015 --data.root DIR

Global attention: `--model.attention.window none`; location based:
`--model.attention.score location --model.attention.window none`; without
attention: `--model.attention.score none --model.attention.window none
--model.decoder.input_feeding False`.

Hardware: one GPU of 80 GB, about a week (an estimate; theirs took 7 to 10 days
on a K40). Not trained here. Published on 2,737 sentences of newstest2014, in
tokenised BLEU (read in the author's thesis): 19.0, and 20.9 with unknown words
replaced; global attention with the location score and feeding 18.1, without
feeding 16.8, no attention 14.0.

What differs: 50,000 BPE pieces a side take the place of 50,000 words, so 50
counts pieces and there are no unknown words to replace; epochs are counted on
4.5 M pairs; biases start at 0. SacreBLEU scores all 3,003 sentences.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets

EPOCH = 4_500_000 // 128


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "wmt14_translate/de-en",
      "en",
      "de",
      source=config.Text(tokenizer="bpe", vocab_size=50000),
      target=config.Text(tokenizer="bpe", vocab_size=50000),
      reverse_source=True,
      max_source_length=51,
      max_target_length=51,
      batch_size=128,
      buckets=8,
    ),
    model=config.Model(
      embed_dim=1000,
      encoder=config.Encoder(
        cell="lstm",
        dim=1000,
        layers=4,
        direction="forward",
      ),
      decoder=config.Decoder(
        dim=1000,
        layers=4,
        bridge="last",
        placement="luong",
        input_feeding=True,
        feed="readout",
      ),
      attention=config.Attention(
        score="general",
        dim=1000,
        window="predictive",
        window_size=10,
      ),
      readout=config.Readout(
        kind="tanh",
        dim=1000,
      ),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
      ),
      init=config.Init(
        forget_bias=0.0,
        weights="uniform",
        scale=0.1,
      ),
    ),
    optim=config.Optim(
      optimizer="sgd",
      learning_rate=1.0,
      clip_norm=5.0,
      normalize="sentences",
      schedule="halving",
      decay_start=8 * EPOCH,
      decay_every=EPOCH,
    ),
    train=config.Train(
      steps=12 * EPOCH,
      validate_every=5000,
      log_every=100,
      metric="bleu",
    ),
    decode=config.Decode(beam_size=10, length_rule="none"),
  )
