"""Listen, attend and spell: Chan et al. 2016 (arXiv 1508.01211), speech.

A bidirectional LSTM of 256 units under three pyramidal ones, each of which
halves the number of frames; two decoder layers of 512 spell characters; one
input in ten is the model's own.

Reading audio is not there yet: this model is built and traced, but not trained.
`seq2seq_jax.train` refuses the set below, since its sources are text. It will
be:

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare librispeech --data-dir DIR
    python -m seq2seq_jax.train configs/las2016.py --workdir runs/las2016 \\
      --data.root DIR

Hardware: one GPU of 40 GB or more, about a week (an estimate). Not trained
here. Published, word error rate on clean Google Voice Search, 2,000 hours that
cannot be had: 16.2, with sampling 14.1, and 10.3 with a language model
(transcribed). On LibriSpeech a larger model of its authors' later code has 5.4
on test-clean (lingvo, read in its source); no number is expected of this one.

What differs: LibriSpeech's 960 hours; 80 log-mel features a frame (theirs: 40);
the additive score (theirs: the dot of two perceptrons); plain SGD in one
process (theirs: asynchronous); no language model. The rate falls by 0.98 every
epoch: theirs does so after as many utterances as there were before a twentyfold
augmentation (recalled, unconfirmed). Twenty epochs of 281,241 utterances are
our choice, and so is the batch size.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets

EPOCH = 281_241 // 32


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "librispeech",
      "speech",
      "text",
      train="train_clean100+train_clean360+train_other500",
      valid="dev_clean",
      test="test_clean",
      # 28 characters and the special ids.
      target=config.Text(tokenizer="char", vocab_size=32, lowercase=True),
      max_source_length=2500,
      max_target_length=600,
      batch_size=32,
      buckets=8,
    ),
    model=config.Model(
      embed_dim=256,
      encoder=config.Encoder(
        cell="lstm",
        features=80,
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
      beam_size=32, length_rule="none", max_ratio=0.5, max_extra=10
    ),
  )
