"""Multi30k, German to English: Sutskever et al. 2014, half as wide.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_sutskever.py \\
      --workdir runs/sutskever

As `sutskever2014.py` (arXiv 1409.3215): an LSTM reads the reversed source, its
last states start the decoder, there is no attention. Two layers of 512 units,
words seen at least twice on the official lower-cased tokenised text. Used by
`configs/ablations/reversal_depth_ensemble.py`.

What differs: Adam with a falling rate, dropout, and forget gates that start
open (biases of 1), since Multi30k is small.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.multi30k(
      "de",
      "en",
      source=config.Text(tokenizer="word", vocab_size=8000, min_count=2),
      target=config.Text(tokenizer="word", vocab_size=6000, min_count=2),
      reverse_source=True,
      batch_size=128,
      buckets=4,
    ),
    model=config.Model(
      embed_dim=512,
      encoder=config.Encoder(
        cell="lstm",
        dim=512,
        layers=2,
        direction="forward",
      ),
      decoder=config.Decoder(
        dim=512,
        layers=2,
        bridge="last",
        input_feeding=False,
      ),
      attention=config.Attention(score="none"),
      readout=config.Readout(
        kind="linear",
        inputs="state",
      ),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
      ),
      init=config.Init(
        weights="uniform",
        scale=0.08,
      ),
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      schedule="cosine",
      warmup_steps=200,
      clip_norm=5.0,
    ),
    train=config.Train(
      steps=4000,
      validate_every=500,
      metric="bleu",
      bleu_tokenize="none",
    ),
    decode=config.Decode(beam_size=12, length_rule="none"),
  )
