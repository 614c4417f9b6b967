"""SpecAugment: Park et al. 2019 (arXiv 1904.08779), LAS-6-1280, LibriSpeech.

    python -m seq2seq_jax.data.manifest librispeech FOLDER \\
      --out data/librispeech
    python -m seq2seq_jax.train configs/las_specaugment.py \\
      --workdir runs/las_specaugment --data.root data/librispeech
    python -m seq2seq_jax.evaluate --workdir runs/las_specaugment \\
      --data.root data/librispeech --data.test test-other.jsonl

Two convolutions of stride 2, six bidirectional LSTMs of 1,280 units, additive
attention, two decoder layers of 1,280, 16,000 subwords; policy LibriSpeech
double (two masks of up to 27 of 80 features, two of up to 100 frames), schedule
L (a rise of 1,000 updates, constant to 140,000, a fall to 1/100 at 320,000).
Without augmentation: `--data.audio.frequency_masks 0 --data.audio.time_masks
0`; policies SM and SS are `--data.audio.frequency_width 15` or 27 with
`--data.audio.time_width 70 --data.audio.time_share 0.2`.

There is no CTC in theirs, and so none here; `--optim.objectives likelihood=0.5
ctc=0.5 --decode.ctc_weight 0.3` adds it, in training and in search.

339.7 M parameters; memory of the largest shape on each of eight devices, 44
utterances of 17 s in four parts: 12.1 GiB (by the compiler, for a CPU).
Hardware: eight GPUs of 40 GB or a TPU host, weeks (an estimate; theirs took 24
days on 32 TPU chips). Not trained here. Published, word error rates on
test-clean and test-other: 2.8 and 6.8, with a language model 2.5 and 5.8;
without augmentation 4.1 and 12.5 (transcribed).

What differs: no time warping (the authors advise to leave it out first), no
differences of features over time, no weight noise (theirs: from update 20,000);
a BPE takes the place of word pieces; the convolutions and the widths of
embedding and attention are ours, as the paper was not read in full.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets

EPOCH = 600
"""Batches of 512 utterances, about."""


def get_config() -> config.Config:
  return config.Config(
    data=presets.librispeech(
      audio=config.Audio(
        frequency_masks=2,
        frequency_width=27,
        time_masks=2,
        time_width=100,
        time_share=1.0,
      ),
      target=config.Text(tokenizer="bpe", vocab_size=16_000),
      max_target_length=140,
      batch_size=640_000,
      row_multiple=32,
      buckets=12,
      workers=8,
    ),
    model=config.Model(
      embed_dim=640,
      encoder=config.Encoder(
        cell="lstm",
        features=80,
        front_end="convolution",
        front_end_channels=32,
        dim=1280,
        layers=6,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=1280, layers=2, bridge="zero", placement="gnmt_v2", feed="context"
      ),
      attention=config.Attention(score="additive", dim=640),
      readout=config.Readout(kind="linear"),
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      warmup_steps=1000,
      schedule="halving",
      # To 1/100 in 180,000 updates.
      decay_start=140_000,
      decay_every=4_118,
      decay_factor=0.9,
      label_smoothing=0.1,
      accumulate=4,
    ),
    train=config.Train(
      steps=320_000,
      validate_every=5 * EPOCH,
      log_every=100,
      metric="wer",
      metrics=("cer",),
    ),
    decode=config.Decode(beam_size=8, length_rule="none", max_ratio=0.1),
  )
