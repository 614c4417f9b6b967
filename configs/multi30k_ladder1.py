"""Multi30k de-en, step 1 of a ladder: a two-layer LSTM without attention.

As the first of three models of bentrevett/pytorch-seq2seq (after Sutskever et
al. 2014, arXiv 1409.3215): two LSTM layers of 512 units on each side, the
encoder's last states start the decoder.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_ladder1.py \\
      --workdir runs/ladder1
    python -m seq2seq_jax.evaluate --workdir runs/ladder1

Hardware: one GPU, minutes, or an hour or two on two CPU cores (an estimate).
Not trained here. Published on test_2016 (read in the notebook): 13.76 BLEU,
perplexity 43.8 with the model's own words fed, 13,898,501 parameters (here
13,913,377).

Ten epochs; at every step of a batch a coin decides whether the reference's
words or the model's own go in. What differs: the official tokenised text takes
the place of spaCy's tokens, in training and in scoring, so that 7,859 and 5,921
words are known (theirs: 7,853 and 5,893); the two biases that PyTorch's LSTM
adds up are one; biases start at 0; the best checkpoint is chosen by a loss with
the reference's words fed (theirs: the model's own); batches are made by length.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.multi30k(
      "de",
      "en",
      source=config.Text(tokenizer="word", vocab_size=7859, min_count=2),
      target=config.Text(tokenizer="word", vocab_size=5921, min_count=2),
      batch_size=128,
      buckets=4,
    ),
    model=config.Model(
      embed_dim=256,
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
        embed=0.5,
        rnn=0.5,
        last=False,
      ),
      init=config.Init(
        forget_bias=0.0,
        weights="uniform",
        scale=0.08,
      ),
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=1e-3,
      clip_norm=1.0,
      sampling="constant",
      sampling_rate=0.5,
      sampling_granularity="step",
      sampling_pick="argmax",
    ),
    train=config.Train(
      # Ten epochs of 227 updates.
      steps=2270,
      validate_every=227,
      metric="loss",
      metrics=("bleu",),
      bleu_tokenize="none",
    ),
    decode=config.Decode(
      beam_size=1, length_rule="none", max_ratio=0.0, max_extra=25
    ),
  )
