"""Multi30k, German to English, official lower-cased tokenised text.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_deen.py --workdir runs/deen
    python -m seq2seq_jax.evaluate --workdir runs/deen

An attentional LSTM of about 6 M parameters (Luong et al. 2015, general score,
input feeding) over 8,000 joint subwords, for two CPU cores. Published at this
scale, test_2016: 13.8 BLEU without attention, 20.6 with the context fed at each
step, 28.3 with attention (bentrevett/pytorch-seq2seq). The checkpoint is chosen
by greedy BLEU on the validation set. BLEU is lower-cased and tokenised.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.multi30k(
      "de",
      "en",
      source=config.Text(tokenizer="bpe", vocab_size=8000),
      joint=True,
      batch_size=64,
      buckets=5,
      max_source_length=50,
      max_target_length=50,
    ),
    model=config.Model(
      embed_dim=256,
      encoder=config.Encoder(
        cell="lstm",
        dim=256,
      ),
      decoder=config.Decoder(
        dim=512,
        input_feeding=True,
      ),
      attention=config.Attention(score="general"),
      readout=config.Readout(dim=256),
      dropout=config.Dropout(
        embed=0.3,
        rnn=0.3,
        readout=0.3,
      ),
      tie="all",
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      schedule="cosine",
      warmup_steps=200,
      clip_norm=1.0,
      label_smoothing=0.1,
    ),
    train=config.Train(
      steps=6000,
      validate_every=600,
      metric="bleu",
      metrics=("chrf", "ter"),
      bleu_tokenize="none",
      average=3,
    ),
    decode=config.Decode(beam_size=5, length_rule="average", alpha=1.0),
  )
