"""OPUS medical texts (EMEA), English to German, an attentional LSTM.

One of the five domains of Koehn & Knowles 2017 (arXiv 1706.03872); the others
are `opus/law`, `opus/IT`, `opus/koran` and `opus/subtitles` (--data.name). The
set has one split, from whose end validation and test are cut. EMEA repeats
many sentences, so that part of the test stands in training too: a score on it
is no measure of translation in general.

    pip install -c constraints.txt -e '.[data]'
    python -m seq2seq_jax.data.prepare opus/medical --data-dir DIR
    python -m seq2seq_jax.train configs/opus_ende.py \\
      --workdir runs/opus_ende --data.root DIR

Hardware: one GPU, hours (an estimate). Not trained here, so no number is
expected; the paper's test sets are cut otherwise.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "opus/medical",
      "en",
      "de",
      train="train[:98%]",
      valid="train[98%:99%]",
      test="train[99%:]",
      source=config.Text(tokenizer="bpe", vocab_size=16000),
      joint=True,
      max_source_length=80,
      max_target_length=80,
      batch_size=6144,
      batch_unit="tokens",
      buckets=6,
    ),
    model=config.Model(
      embed_dim=512,
      encoder=config.Encoder(
        cell="lstm",
        dim=512,
        layers=1,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=512,
        layers=2,
        bridge="dense",
        input_feeding=True,
      ),
      attention=config.Attention(score="general"),
      readout=config.Readout(dim=512),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
        readout=0.2,
      ),
      tie="all",
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=1e-3,
      clip_norm=1.0,
      schedule="inverse_sqrt",
      warmup_steps=2000,
      label_smoothing=0.1,
    ),
    train=config.Train(
      steps=60000,
      validate_every=2000,
      metric="bleu",
      metrics=("chrf",),
      patience=8,
    ),
    decode=config.Decode(beam_size=5, length_rule="gnmt", alpha=0.6),
  )
