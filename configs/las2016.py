"""Listen, attend and spell: Chan et al. 2016 (arXiv 1508.01211), LibriSpeech.

    python -m seq2seq_jax.data.manifest librispeech FOLDER \\
      --out data/librispeech
    python -m seq2seq_jax.train configs/las2016.py --workdir runs/las2016 \\
      --data.root data/librispeech
    python -m seq2seq_jax.evaluate --workdir runs/las2016 \\
      --data.root data/librispeech --data.test test-other.jsonl

A bidirectional LSTM of 256 units under three pyramidal ones, each of which
halves the number of frames; two decoder layers of 512 spell characters; one
input in ten is the model's own.

There is no CTC in theirs, and so none here; `--optim.objectives likelihood=0.5
ctc=0.5 --decode.ctc_weight 0.3` adds it, in training and in search, and is a
good idea wherever attention does not start to learn.

14.3 M parameters; memory of the largest shape, 16 utterances of 17 s: 4.6 GiB
(by the compiler, for a CPU). Hardware: one GPU of 16 GB or more, about a week
(an estimate). Not trained here. Published, word error rate on clean Google
Voice Search, 2,000 hours that cannot be had: 16.2, with sampling 14.1, and 10.3
with a language model (transcribed). On LibriSpeech a larger model of its
authors' later code has 5.4 on test-clean (`lingvo_librispeech.py`); no number
is expected of this.

What differs: LibriSpeech's 960 hours; the additive score (theirs: the dot of
two perceptrons); plain SGD in one process (theirs: asynchronous); no language
model. The rate falls by 0.98 every epoch: theirs does so after as many
utterances as there were before a twentyfold augmentation (recalled,
unconfirmed). Twenty epochs are our choice, and so is the batch size.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets

EPOCH = 9300
"""Batches of 30 utterances, about."""


def get_config() -> config.Config:
  return config.Config(
    data=presets.librispeech(
      audio=config.Audio(bins=40),
      # 28 characters and the special ids.
      target=config.Text(tokenizer="char", vocab_size=32),
      max_target_length=620,
      batch_size=40_000,
      buckets=12,
      workers=4,
    ),
    model=config.Model(
      embed_dim=256,
      encoder=config.Encoder(
        cell="lstm",
        features=40,
        dim=256,
        layers=4,
        direction="both",
        reduction="concat",
        reductions=3,
      ),
      decoder=config.Decoder(
        dim=512,
        layers=2,
        bridge="zero",
        placement="luong",
        input_feeding=True,
        feed="context",
      ),
      attention=config.Attention(
        score="additive",
        dim=512,
      ),
      readout=config.Readout(
        kind="tanh",
        dim=512,
      ),
      init=config.Init(
        weights="uniform",
        scale=0.1,
      ),
    ),
    optim=config.Optim(
      optimizer="sgd",
      learning_rate=0.2,
      clip_norm=5.0,
      normalize="sentences",
      schedule="halving",
      decay_start=EPOCH,
      decay_every=EPOCH,
      decay_factor=0.98,
      sampling="constant",
      sampling_rate=0.9,
      sampling_granularity="token",
      sampling_pick="sample",
    ),
    train=config.Train(
      steps=20 * EPOCH,
      validate_every=EPOCH,
      log_every=100,
      metric="wer",
      metrics=("cer",),
    ),
    decode=config.Decode(
      beam_size=32, length_rule="none", max_ratio=0.25, max_extra=10
    ),
  )
