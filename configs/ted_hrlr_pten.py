"""TED talks, Portuguese to English (52k pairs), a small regularised LSTM.

The set of Qi et al. 2018 (arXiv 1804.06323). Low-resource settings after
Sennrich & Zhang 2019 (arXiv 1905.11901): small joint BPE, strong dropout, tied
embeddings, label smoothing.

    pip install -c constraints.txt -e '.[data]'
    python -m seq2seq_jax.data.prepare ted_hrlr_translate/pt_to_en \\
      --data-dir DIR
    python -m seq2seq_jax.train configs/ted_hrlr_pten.py \\
      --workdir runs/ted_hrlr_pten --data.root DIR

Hardware: any GPU, about an hour, or a night on a CPU (an estimate). Not
trained here, so no number is expected.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "ted_hrlr_translate/pt_to_en",
      "pt",
      "en",
      source=config.Text(tokenizer="bpe", vocab_size=8000, sampling=0.1),
      joint=True,
      max_source_length=80,
      max_target_length=80,
      batch_size=4096,
      batch_unit="tokens",
      buckets=6,
    ),
    model=config.Model(
      embed_dim=256,
      encoder=config.Encoder(
        cell="lstm",
        dim=256,
        layers=1,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=512,
        layers=1,
        bridge="dense",
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
      optimizer="adam",
      learning_rate=1e-3,
      clip_norm=1.0,
      schedule="plateau",
      plateau_patience=2,
      min_learning_rate=1e-5,
      label_smoothing=0.1,
    ),
    train=config.Train(
      steps=40000,
      validate_every=1000,
      metric="bleu",
      metrics=("chrf",),
      patience=8,
    ),
    decode=config.Decode(beam_size=5, length_rule="gnmt", alpha=0.6),
  )
