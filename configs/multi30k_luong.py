"""Multi30k, German to English: Luong et al. 2015, half as wide.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_luong.py --workdir runs/luong

As `luong2015.py` (arXiv 1508.04025), their best single model: a deep LSTM reads
the reversed source, local attention with predicted centres and general score,
the readout fed to the next step. Two layers of 512 units, words seen at least
twice on the official lower-cased tokenised text. Used by the tables
`configs/ablations/luong_*.py`.

What differs: Adam with a falling rate takes the place of SGD and forget gates
start open (biases of 1), since there are 4,000 updates; the set is Multi30k,
whose sentences have 13 words.
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
      max_source_length=51,
      max_target_length=51,
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
        placement="luong",
        input_feeding=True,
        feed="readout",
      ),
      attention=config.Attention(
        score="general",
        dim=512,
        window="predictive",
        window_size=10,
      ),
      readout=config.Readout(
        kind="tanh",
        dim=512,
      ),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
      ),
      init=config.Init(
        weights="uniform",
        scale=0.1,
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
    decode=config.Decode(beam_size=10, length_rule="none"),
  )
