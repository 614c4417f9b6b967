"""Sutskever, Vinyals & Le 2014 (arXiv 1409.3215), WMT 2014 English to French.

A deep LSTM reads the reversed source; its last states start the decoder. No
attention. Four layers of 1,000 units, uniform initial weights, plain SGD whose
rate is halved every half epoch after the fifth, 7.5 epochs.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/fr-en --data-dir DIR
    python -m seq2seq_jax.train configs/sutskever2014.py \\
      --workdir runs/sutskever2014 --data.root DIR
    python -m seq2seq_jax.evaluate --workdir runs/sutskever2014

Add `--data.reverse_source False` for the row without reversal.

Hardware: one GPU of 80 GB, about two weeks (an estimate; theirs took ten days
on eight GPUs). Not trained here. Published on newstest2014, in tokenised cased
BLEU (read in the paper): 26.17 forward, 30.59 reversed with beam 12, 34.81 for
five models together.

What differs: 32,000 BPE pieces a side take the place of 160,000 and 80,000
words, since the set's text is not tokenised (with their vocabularies this model
has their 384 M parameters); 12 M pairs drawn at random stand for their
selection; biases start at 0 and are not drawn; scores are SacreBLEU's.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets

EPOCH = 12_000_000 // 128


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "wmt14_translate/fr-en",
      "en",
      "fr",
      limit=12_000_000,
      source=config.Text(tokenizer="bpe", vocab_size=32000),
      target=config.Text(tokenizer="bpe", vocab_size=32000),
      reverse_source=True,
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
        input_feeding=False,
      ),
      attention=config.Attention(score="none"),
      readout=config.Readout(
        kind="linear",
        inputs="state",
      ),
      init=config.Init(
        forget_bias=0.0,
        weights="uniform",
        scale=0.08,
      ),
    ),
    optim=config.Optim(
      optimizer="sgd",
      learning_rate=0.7,
      clip_norm=5.0,
      normalize="sentences",
      schedule="halving",
      decay_start=5 * EPOCH,
      decay_every=EPOCH // 2,
    ),
    train=config.Train(
      steps=15 * EPOCH // 2,
      validate_every=10000,
      log_every=100,
      metric="bleu",
    ),
    decode=config.Decode(beam_size=12, length_rule="none"),
  )
