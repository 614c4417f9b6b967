"""lingvo's LAS on LibriSpeech, 960 hours, characters.

    python -m seq2seq_jax.data.manifest librispeech FOLDER \\
      --out data/librispeech
    python -m seq2seq_jax.train configs/lingvo_librispeech.py \\
      --workdir runs/lingvo --data.root data/librispeech
    python -m seq2seq_jax.evaluate --workdir runs/lingvo \\
      --data.root data/librispeech --data.test test-other.jsonl

Two convolutions of stride 2, four bidirectional LSTMs of 1,024 units, additive
attention, two decoder layers of 1,024; no augmentation. Word pieces, their
other model, are `--data.target.tokenizer unigram --data.target.vocab_size 16328
--model.embed_dim 96 --data.max_target_length 140 --decode.max_ratio 0.1`.

There is no CTC in theirs, and so none here; it may be added, in training and in
search, by `--optim.objectives likelihood=0.5 ctc=0.5 --decode.ctc_weight 0.3`,
and makes attention learn sooner and end later.

119.5 M parameters (theirs, by its shape: 121 M); memory of the largest shape,
40 utterances of 16 s: 16.7 GiB (by the compiler, for a CPU). Hardware: one GPU
of 40 GB or more, one to two days (an estimate; theirs: 16 GPUs); on NVIDIA's
`--model.recurrence cudnn` is faster. Not trained here. Published, word error
rates on test-clean and test-other: 5.4 and 15.5 with characters, 4.5 and 13.2
with word pieces (read in its source).

What differs: there is no weight noise (theirs: deviation 0.075 from update
20,000), and updates are synchronous, of one process, so that their number is
ours; the lowest decoder layer's new state asks (theirs: the top's of the step
before), and its context goes to both layers, as theirs does.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets

EPOCH = 5900
"""Batches of 48 utterances, about."""


def get_config() -> config.Config:
  return config.Config(
    data=presets.librispeech(
      target=config.Text(tokenizer="char", vocab_size=76),
      max_target_length=620,
      batch_size=64000,
      buckets=12,
      workers=4,
    ),
    model=config.Model(
      embed_dim=76,
      encoder=config.Encoder(
        cell="lstm",
        features=80,
        front_end="convolution",
        front_end_channels=32,
        dim=1024,
        layers=4,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=1024, layers=2, bridge="zero", placement="gnmt_v2", feed="context"
      ),
      attention=config.Attention(score="additive", dim=128),
      readout=config.Readout(kind="linear"),
      init=config.Init(weights="uniform", scale=0.1),
    ),
    optim=config.Optim(
      learning_rate=2.5e-4,
      clip_norm=1.0,
      schedule="halving",
      decay_start=50_000,
      decay_every=100_000,
    ),
    train=config.Train(
      steps=60 * EPOCH,
      validate_every=EPOCH,
      log_every=100,
      metric="wer",
      metrics=("cer",),
    ),
    decode=config.Decode(
      beam_size=8, length_rule="none", max_ratio=0.25, max_extra=10
    ),
  )
