"""Zeyer et al. 2018 (arXiv 1805.03294): LibriSpeech, 960 hours, subwords.

    python -m seq2seq_jax.data.manifest librispeech FOLDER \\
      --out data/librispeech
    python -m seq2seq_jax.train configs/zeyer2018.py \\
      --workdir runs/zeyer2018 --data.root data/librispeech
    python -m seq2seq_jax.evaluate --workdir runs/zeyer2018 \\
      --data.root data/librispeech --data.test test-other.jsonl

Six bidirectional LSTMs of 1,024 units, the maximum of pairs between the first
four (a reduction of 8), additive attention that remembers the weights so far
with a learnt fertility, an LSTM of 1,000, a maxout readout, 10,000 subwords,
CTC beside the likelihood with the same weight, as their released setup has it.

187.9 M parameters (theirs, by its shape: 188 M); memory of the largest shape,
16 utterances of 12.5 s: 10.3 GiB (by the compiler, for a CPU). Hardware: one
GPU of 24 GB or more, about three days (an estimate; theirs took 6.4 days on a
GTX 1080 Ti); on NVIDIA's `--model.recurrence cudnn` is faster. Not trained
here. Published, word error rates without a language model: dev-other 14.37
(read in their score files), test-clean 4.87 and test-other 15.39 (recalled,
unconfirmed); with an LSTM language model 3.82 and 12.76 (transcribed).

What differs: 40 log-mel features (theirs: as many MFCC, clipped at three
deviations); no pretraining with fewer layers and a reduction of 32, which they
found to matter, but a longer rise of the rate, and label smoothing from the
start; their subwords are another BPE of the same size; dropout falls on the
output of every LSTM (theirs: on the input of all but the first); the rate falls
when the error has not (theirs: by the relative error, newbob). They do not use
CTC in the search: `--decode.ctc_weight 0.3` does.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets

EPOCH = 18_500
"""Batches, about."""


def get_config() -> config.Config:
  return config.Config(
    data=presets.librispeech(
      audio=config.Audio(bins=40),
      target=config.Text(tokenizer="bpe", vocab_size=10_025),
      max_target_length=76,
      batch_size=20_000,
      buckets=12,
      workers=4,
    ),
    model=config.Model(
      embed_dim=621,
      encoder=config.Encoder(
        cell="lstm",
        features=40,
        dim=1024,
        layers=6,
        direction="both",
        reduction="max",
        reductions=3,
      ),
      decoder=config.Decoder(
        dim=1000, bridge="zero", placement="luong", feed="context"
      ),
      attention=config.Attention(score="feedback", dim=1024),
      readout=config.Readout(kind="maxout", dim=500, inputs="all"),
      dropout=config.Dropout(rnn=0.3, readout=0.3),
    ),
    optim=config.Optim(
      learning_rate=8e-4,
      warmup_steps=EPOCH,
      schedule="plateau",
      plateau_patience=3,
      decay_factor=0.9,
      clip_norm=5.0,
      label_smoothing=0.1,
      objectives=("likelihood", "ctc"),
    ),
    train=config.Train(
      steps=25 * EPOCH // 2,
      validate_every=EPOCH // 20,
      log_every=100,
      metric="wer",
      metrics=("cer",),
    ),
    decode=config.Decode(
      beam_size=12, length_rule="average", alpha=1.0, max_ratio=0.1
    ),
  )
