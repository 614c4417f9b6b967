"""WMT 2014 English to German (4.5 M pairs), Luong et al. 2015's attention.

Luong, Pham & Manning 2015 (arXiv 1508.04025), section 4: stacked LSTMs of
1,000 units, general attention, input feeding, dropout 0.2, source reversed.
Here a joint BPE of 32k takes the place of their 50k words, and a
bidirectional encoder that of the reversed source.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/de-en --data-dir DIR
    python -m seq2seq_jax.train configs/wmt14_ende.py \\
      --workdir runs/wmt14_ende --data.root DIR

Hardware: one GPU of 40 GB or more; days. Not trained here. Neighbours, on
newstest2014 in tokenised BLEU: 18.1 with global attention and feeding (their
Table 1, on a subset of 2,737 sentences), 20.9 with local attention and
replaced unknown words. This program prints SacreBLEU on all 3,003 sentences.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "wmt14_translate/de-en",
      "en",
      "de",
      source=config.Text(tokenizer="bpe", vocab_size=32000),
      joint=True,
      max_source_length=80,
      max_target_length=80,
      batch_size=8192,
      batch_unit="tokens",
      buckets=8,
    ),
    model=config.Model(
      embed_dim=512,
      encoder=config.Encoder(
        cell="lstm",
        dim=512,
        layers=2,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=1024,
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
      steps=300000,
      validate_every=5000,
      log_every=100,
      metric="bleu",
      metrics=("chrf",),
      keep_last=8,
      average=8,
    ),
    decode=config.Decode(beam_size=5, length_rule="gnmt", alpha=0.6),
  )
