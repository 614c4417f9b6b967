"""LibriSpeech, 100 hours: a recurrent recogniser with CTC for one GPU.

    python -m seq2seq_jax.data.manifest librispeech FOLDER \\
      --out data/librispeech
    python -m seq2seq_jax.train configs/librispeech100.py \\
      --workdir runs/librispeech100 --data.root data/librispeech
    python -m seq2seq_jax.evaluate --workdir runs/librispeech100 \\
      --data.root data/librispeech --data.test test-other.jsonl

FOLDER holds LibriSpeech's train-clean-100 and the others as they are unpacked.
The recipe of ESPnet's and SpeechBrain's recurrent systems: two convolutions,
four bidirectional LSTMs of 1,024 units, location-aware attention, 1,000
subwords, half of CTC in the loss and three tenths in the search (Watanabe et
al. 2017), three speeds (Ko et al. 2015), and SpecAugment (Park et al. 2019).
Fifteen epochs of three speeds, with 15 % of an LSTM's outputs dropped.

113.8 M parameters; memory of the largest shape, 16 utterances of 19 s: 17.4 GiB
(by the compiler, for a CPU). Hardware: one GPU of 40 GB or more, about six
hours (an estimate); on NVIDIA's `--model.recurrence cudnn` is faster. Not
trained here. No result is published for 100 hours, this architecture and no
language model that we know of; with 960 hours and a language model
SpeechBrain's has a word error rate of 3.08 on test-clean (read in its recipe).

What differs from SpeechBrain's: convolutions alone before the LSTMs, an LSTM as
the decoder (theirs: a GRU), 80 features (40), CTC to the end (theirs: in the
first five epochs), Adam with a cosine (Adadelta, newbob).
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets

EPOCH = 3 * 1230
"""Batches of all three speeds, about."""


def get_config() -> config.Config:
  return config.Config(
    data=presets.librispeech(
      "train-clean-100",
      audio=config.Audio(
        speeds=("0.9", "1.0", "1.1"),
        frequency_masks=2,
        frequency_width=27,
        time_masks=2,
        time_width=100,
        time_share=0.2,
      ),
      target=config.Text(tokenizer="bpe", vocab_size=1000),
      max_source_length=1900,  # 17.1 s, at the slowest speed
      max_target_length=200,
      batch_size=32000,
      buckets=12,
      workers=4,
    ),
    model=config.Model(
      embed_dim=512,
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
        dim=1024, bridge="zero", placement="luong", feed="context"
      ),
      attention=config.Attention(
        score="location_aware",
        dim=1024,
        filters=10,
        filter_width=201,
        location_start="uniform",
      ),
      readout=config.Readout(dim=1024),
      dropout=config.Dropout(embed=0.15, rnn=0.15, readout=0.15),
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      warmup_steps=2000,
      schedule="cosine",
      clip_norm=5.0,
      label_smoothing=0.1,
      objectives=("likelihood=0.5", "ctc=0.5"),
    ),
    train=config.Train(
      steps=15 * EPOCH,
      validate_every=EPOCH,
      log_every=100,
      metric="wer",
      metrics=("cer",),
      average=5,
    ),
    decode=config.Decode(
      beam_size=20,
      ctc_weight=0.3,
      length_rule="none",
      max_ratio=0.1,
      max_extra=10,
    ),
  )
