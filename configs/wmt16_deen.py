"""WMT 2016 German to English (4.5 M pairs), a deep attentional LSTM.

Four layers after tf/nmt's WMT models (Luong, Brevdo & Zhao 2017): 1,024
units, the readout fed back, a joint BPE of 32k. All encoder layers read in both
directions here, where tf/nmt's first one alone does.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt16_translate/de-en --data-dir DIR
    python -m seq2seq_jax.train configs/wmt16_deen.py \\
      --workdir runs/wmt16_deen --data.root DIR

Hardware: one GPU of 80 GB or a TPU host; days. Not trained here. Neighbour:
tf/nmt has 28.0 on newstest2013 and 28.9 on newstest2015 with beam 10 (29.0
and 29.9 with GNMT's attention), tokenised. `valid` here is newstest2015.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "wmt16_translate/de-en",
      "de",
      "en",
      source=config.Text(tokenizer="bpe", vocab_size=32000),
      joint=True,
      max_source_length=80,
      max_target_length=80,
      batch_size=12288,
      batch_unit="tokens",
      buckets=8,
    ),
    model=config.Model(
      embed_dim=1024,
      encoder=config.Encoder(
        cell="lstm",
        dim=512,
        layers=4,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=1024,
        layers=4,
        bridge="dense",
        input_feeding=True,
      ),
      attention=config.Attention(
        score="additive",
        dim=1024,
      ),
      readout=config.Readout(dim=1024),
      dropout=config.Dropout(
        embed=0.2,
        rnn=0.2,
        readout=0.2,
      ),
      tie="all",
      dtype="bfloat16",
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=5e-4,
      clip_norm=1.0,
      schedule="inverse_sqrt",
      warmup_steps=4000,
      label_smoothing=0.1,
    ),
    train=config.Train(
      steps=340000,
      validate_every=5000,
      log_every=100,
      metric="bleu",
      metrics=("chrf",),
      keep_last=8,
      average=8,
    ),
    decode=config.Decode(beam_size=10, length_rule="gnmt", alpha=1.0),
  )
