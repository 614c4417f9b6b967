"""RNMT+: Chen et al. 2018 (arXiv 1804.09849), WMT 2014 English to German.

Six bidirectional encoder layers and eight decoder layers of layer-normalised
LSTMs, residual from the third on; additive attention of four heads by the
lowest decoder layer, whose context goes to all layers and the softmax; label
smoothing.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/de-en --data-dir DIR
    python -m seq2seq_jax.train configs/rnmt_plus2018.py \\
      --workdir runs/rnmt_plus2018 --data.root DIR

The paper's ablation: `--optim.label_smoothing 0`, `--model.attention.score
additive` (one head), `--model.encoder.cell lstm` (no layer normalisation:
diverges in the paper).

Hardware: eight GPUs of 80 GB or a TPU host, days (an estimate). Not trained
here. Published on newstest2014: 28.49 +- 0.05 BLEU over 21 checkpoints
(recalled, unconfirmed; transcribed elsewhere as 28.5).

The sizes, dropout, smoothing and decay are those of the authors' published code
(lingvo). What differs: a joint BPE of 32,000 takes the place of word pieces;
attention weights are not dropped (theirs: 0.3); the encoder's output is not
projected, so contexts have 2,048 units and the model 444 M parameters (theirs
378.9 M: recalled, unconfirmed); the gradient is clipped at a fixed norm, not at
one that follows its past. The rate's course is theirs for 16 replicas of 4,096
tokens, which is our choice: a rise to 1.6e-3, constant to update 25,000, and a
fall to 1/32 of it at update 75,000, here in five halvings around their
exponential. The number of updates is ours, and so is the length penalty.
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
      batch_size=16 * 4096,
      batch_unit="tokens",
      row_multiple=64,  # eight parts on eight devices
      buckets=8,
    ),
    model=config.Model(
      embed_dim=1024,
      encoder=config.Encoder(
        cell="rnmt_lstm",
        dim=1024,
        layers=6,
        direction="both",
        stacking="joint",
      ),
      decoder=config.Decoder(
        dim=1024,
        layers=8,
        bridge="zero",
        placement="gnmt_v2",
        input_feeding=True,
        feed="context",
      ),
      attention=config.Attention(
        score="multi_head_additive",
        dim=1024,
        heads=4,
      ),
      readout=config.Readout(
        kind="linear",
        inputs="state_context",
      ),
      dropout=config.Dropout(
        embed=0.3,
        rnn=0.3,
      ),
      init=config.Init(
        weights="uniform",
        scale=0.04,
      ),
      residual="add",
      residual_start=3,
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=1.6e-3,
      b2=0.98,
      eps=1e-6,
      weight_decay=1e-5,
      clip_norm=5.0,
      schedule="halving",
      warmup_steps=8000,
      decay_start=30000,
      decay_every=10000,
      label_smoothing=0.1,
      accumulate=8,
    ),
    train=config.Train(
      steps=80000,
      validate_every=2000,
      log_every=100,
      metric="bleu",
      keep_last=4,
      average=4,
    ),
    decode=config.Decode(beam_size=16, length_rule="gnmt", alpha=0.6),
  )
