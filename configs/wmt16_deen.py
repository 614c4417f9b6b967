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


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="tfds",
      name="wmt16_translate/de-en",
      train=("train",),
      valid=("validation",),
      test=("test",),
      source_field="de",
      target_field="en",
      source=config.Text(tokenizer="bpe", vocab_size=32000),
      joint=True,
      max_source_length=80,
      max_target_length=80,
      batch_size=12288,
      batch_unit="tokens",
      buckets=8,
    ),
    model=config.Model(
      cell="lstm",
      embed_dim=1024,
      encoder_dim=512,
      encoder_layers=4,
      direction="both",
      decoder_dim=1024,
      decoder_layers=4,
      bridge="dense",
      attention="additive",
      attention_dim=1024,
      input_feeding=True,
      readout_dim=1024,
      tie="all",
      dropout_embed=0.2,
      dropout_rnn=0.2,
      dropout_readout=0.2,
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
