"""SIGMORPHON 2020 task 1, letters to phones: the LSTM baseline, one language.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds g2p_sigmorphon2020
    python -m seq2seq_jax.train configs/g2p_sigmorphon2020.py --workdir runs/ady

The files of the task hold a language, a word and its phones in a line;
`--data.only 0=fre` is French.

The recipe of the task's baseline (fairseq): a bidirectional LSTM of one layer,
embeddings of 128 and 512 units (the smaller of its sizes), target embeddings
shared with the softmax, symbols seen less than five times unknown, label
smoothing 0.1, Adam 1e-3, clipped to 1, 4,000 updates of 256 words, dropout 0.2
(of 0.1 to 0.3), beam 5; the checkpoint with the best validation score. 100 less
`exact_match` is the task's word error rate; `wer` counts phones.

What differs: a tanh bridge starts the decoder; the task chooses among 36
settings by language.
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="tsv",
      train=("g2p_sigmorphon2020/train.tsv.gz",),
      valid=("g2p_sigmorphon2020/dev.tsv.gz",),
      test=("g2p_sigmorphon2020/test.tsv.gz",),
      only="0=ady",
      source_field="1",
      target_field="2",
      source=config.Text(tokenizer="char", min_count=5),
      target=config.Text(tokenizer="word", min_count=5),
      batch_size=256,
      buckets=2,
    ),
    model=config.Model(
      embed_dim=128,
      encoder=config.Encoder(
        cell="lstm",
        dim=512,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=512,
        input_feeding=True,
      ),
      attention=config.Attention(score="general"),
      readout=config.Readout(dim=512),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
      ),
      init=config.Init(
        forget_bias=0.0,
        weights="uniform",
        scale=0.1,
      ),
      tie="decoder",
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      clip_norm=1.0,
      label_smoothing=0.1,
      smoothing="others",
    ),
    train=config.Train(
      steps=4000,
      # Five epochs.
      validate_every=75,
      metric="exact_match",
      metrics=("wer",),
    ),
    decode=config.Decode(beam_size=5, length_rule="average", alpha=1.0),
  )
