"""Multi30k de-en, step 2 of a ladder: a GRU with its context at each step.

As the second of three models of bentrevett/pytorch-seq2seq (after Cho et al.
2014, arXiv 1406.1078): a GRU of 512 units on each side; the encoder's last
state starts the decoder and is an input of its every step and of the softmax,
as is the embedding.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_ladder2.py \\
      --workdir runs/ladder2
    python -m seq2seq_jax.evaluate --workdir runs/ladder2

Hardware: one GPU, minutes, or an hour or two on two CPU cores (an estimate).
Not trained here. Published on test_2016 (read in the notebook): 20.61 BLEU,
perplexity 37.5 with the model's own words fed, 14,219,781 parameters (here
14,262,305).

Ten epochs; at every step of a batch a coin decides whether the reference's
words or the model's own go in. What differs: the official tokenised text takes
the place of spaCy's tokens, in training and in scoring, so that 7,859 and 5,921
words are known (theirs: 7,853 and 5,893); the two biases that PyTorch's GRU
adds up in its gates are one; biases start at 0; the best checkpoint is chosen
by a loss with the reference's words fed (theirs: the model's own); batches are
made by length.
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
        cell="gru",
        dim=512,
        direction="forward",
      ),
      decoder=config.Decoder(
        dim=512,
        bridge="last",
        context_at="both",
        input_feeding=False,
      ),
      attention=config.Attention(score="none"),
      readout=config.Readout(
        kind="linear",
        inputs="all",
      ),
      dropout=config.Dropout(embed=0.5),
      init=config.Init(
        weights="normal",
        scale=0.01,
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
