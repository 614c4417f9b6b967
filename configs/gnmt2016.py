"""GNMT: Wu et al. 2016 (arXiv 1609.08144), WMT 2014 English to French.

Eight layers on each side; the first encoder layer reads both ways, layers from
the third on are residual; the lowest decoder layer's previous state attends,
and the context goes to all layers. Everything below but the penalties is
recalled, unconfirmed.

Two parts, first Adam and then SGD, as in the paper:

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/fr-en --data-dir DIR
    python -m seq2seq_jax.train configs/gnmt2016.py \\
      --workdir runs/gnmt2016_adam --data.root DIR
    python -m seq2seq_jax.train configs/gnmt2016.py \\
      --workdir runs/gnmt2016 --data.root DIR \\
      --train.init_from runs/gnmt2016_adam --train.steps 1740000 \\
      --optim.optimizer sgd --optim.learning_rate 0.5 \\
      --optim.schedule halving --optim.decay_start 1140000 \\
      --optim.decay_every 200000

tf/nmt's variant is `--model.decoder.placement gnmt_v2`; NVIDIA's, whose lowest
layer sees words alone, is `--model.decoder.placement nvidia_gnmt`.

Hardware: several GPUs of 80 GB, weeks (an estimate; theirs took 96 GPUs). Not
trained here. Published on newstest2014: 38.95 BLEU for one model before
reinforcement learning (recalled, unconfirmed).

What differs: a joint BPE of 32,000 takes the place of word pieces; one
synchronous batch of 128 that of twelve asynchronous replicas of 128; states and
logits are not clipped for quantisation; there is no reinforcement learning, and
the search prunes nothing.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "wmt14_translate/fr-en",
      "en",
      "fr",
      source=config.Text(tokenizer="bpe", vocab_size=32000),
      joint=True,
      batch_size=128,
      buckets=8,
    ),
    model=config.Model(
      embed_dim=1024,
      encoder=config.Encoder(
        cell="lstm",
        dim=1024,
        layers=8,
        direction="both",
        stacking="gnmt",
      ),
      decoder=config.Decoder(
        dim=1024,
        layers=8,
        bridge="zero",
        placement="gnmt",
        input_feeding=False,
      ),
      attention=config.Attention(
        score="additive",
        dim=1024,
      ),
      readout=config.Readout(
        kind="linear",
        inputs="state",
      ),
      dropout=config.Dropout(rnn=0.2),
      init=config.Init(
        weights="uniform",
        scale=0.04,
      ),
      residual="add",
      residual_start=3,
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=2e-4,
      clip_norm=5.0,
      normalize="sentences",
    ),
    train=config.Train(
      steps=60000,
      validate_every=10000,
      log_every=100,
      metric="bleu",
    ),
    decode=config.Decode(
      beam_size=8,
      length_rule="gnmt",
      alpha=0.2,
      coverage=0.2,
      max_ratio=2.0,
      max_extra=0,
    ),
  )
