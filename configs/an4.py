"""AN4, spelled names and numbers: attention and CTC on 38 minutes of speech.

    python -m seq2seq_jax.data.manifest an4 FOLDER --out data/an4
    python -m seq2seq_jax.train configs/an4.py --workdir runs/an4 \\
      --data.root data/an4
    python -m seq2seq_jax.evaluate --workdir runs/an4 --data.root data/an4

848 utterances for training, 100 and 130 of other speakers for validation and
test, the split of Kaldi and ESPnet. Characters, with the blank as one of them;
SpecAugment (Park et al. 2019); no language model (`an4_lm.py` has one). Twelve
minutes on one core. Character errors of three seeds in per cent, with those of
ESPnet's first recurrent model, of 14 M parameters and searched as this one:
test 5.1 (15.3), validation 11.2 (22.2). `results/README.md` has more.
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="audio",
      train=("train.jsonl",),
      valid=("dev.jsonl",),
      test=("test.jsonl",),
      audio=config.Audio(
        frequency_masks=2,
        frequency_width=15,
        time_masks=2,
        time_width=25,
        time_share=0.2,
      ),
      target=config.Text(tokenizer="char"),
      batch_size=16,
      buckets=4,
      max_source_length=1000,
      max_target_length=120,
    ),
    model=config.Model(
      embed_dim=32,
      encoder=config.Encoder(
        cell="gru",
        features=80,
        front_end="convolution",
        front_end_channels=16,
        dim=160,
        layers=2,
        direction="both",
      ),
      decoder=config.Decoder(dim=160),
      attention=config.Attention(score="location_aware", dim=160),
      readout=config.Readout(dim=160),
      dropout=config.Dropout(embed=0.1, rnn=0.3),
    ),
    optim=config.Optim(
      learning_rate=2e-3,
      warmup_steps=200,
      schedule="cosine",
      clip_norm=5.0,
      objectives=("likelihood=0.5", "ctc=0.5"),
    ),
    train=config.Train(
      # Sixty epochs.
      steps=3180,
      validate_every=530,
      metric="cer",
      metrics=("wer",),
    ),
    decode=config.Decode(
      beam_size=10,
      ctc_weight=0.5,
      length_rule="none",
      max_ratio=0.25,
      max_extra=5,
      # With few utterances, filler rows cost more than padding.
      batch_rows=16,
      length_step=128,
    ),
  )
