"""AN4, a language model of its 848 transcripts, for the search of `an4.py`.

    python -m seq2seq_jax.data.manifest text data/an4/train.jsonl \\
      > data/an4/train.txt
    python -m seq2seq_jax.data.manifest text data/an4/dev.jsonl \\
      > data/an4/dev.txt
    python -m seq2seq_jax.train configs/an4_lm.py --workdir runs/an4_lm \\
      --data.root data/an4
    python -m seq2seq_jax.evaluate --workdir runs/an4 --data.root data/an4 \\
      --decode.lm runs/an4_lm --decode.lm_weight 0.5 \\
      --decode.length_rule word_reward --decode.alpha 1.0

An LSTM over characters; its vocabulary is that of `an4.py`, since both are made
from the same text. Two minutes on a CPU. ESPnet's language model of AN4 is one
of words; no perplexity of it is published.
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="language_model",
      train=("train.txt",),
      valid=("dev.txt",),
      target=config.Text(tokenizer="char"),
      batch_size=32,
      buckets=2,
      max_target_length=120,
    ),
    model=config.Model(
      embed_dim=32,
      decoder=config.Decoder(dim=256),
      attention=config.Attention(score="none"),
      dropout=config.Dropout(embed=0.1, rnn=0.5),
    ),
    optim=config.Optim(
      learning_rate=2e-3,
      warmup_steps=50,
      schedule="cosine",
      clip_norm=1.0,
    ),
    train=config.Train(
      # Thirty epochs.
      steps=810,
      validate_every=81,
      metric="perplexity",
      metrics=(),
    ),
  )
