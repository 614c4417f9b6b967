"""Cho et al. 2014 (arXiv 1406.1078), RNN Encoder-Decoder, English to French.

The first gated recurrent unit. The encoder's last state starts the decoder and
is an input of its every step and of its maxout readout.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/fr-en --data-dir DIR
    python -m seq2seq_jax.train configs/cho2014.py --workdir runs/cho2014 \\
      --data.root DIR

To score phrase pairs, as the paper does, one a line in two files:

    python -m seq2seq_jax.evaluate --workdir runs/cho2014 --score \\
      --source FILE --reference FILE

Hardware: one GPU, about a day (an estimate; theirs took about three days:
recalled, unconfirmed). Not trained here, and no number of the paper can be
compared: its 33.87 BLEU (transcribed; baseline 33.30) belong to a phrase-based
system with this model's score as one more feature.

What differs: sentences of at most 30 pieces of WMT 2014 stand for the phrase
table; 15,000 BPE pieces a side for 15,000 words; the fixed vector is the last
state itself, without the tanh layer between; the softmax is one full matrix,
where theirs has rank 100. 1,000 units and Adadelta's constants are recalled,
unconfirmed. The number of updates, the clipped norm and the search are ours;
the paper gives none.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "wmt14_translate/fr-en",
      "en",
      "fr",
      source=config.Text(tokenizer="bpe", vocab_size=15000),
      target=config.Text(tokenizer="bpe", vocab_size=15000),
      max_source_length=31,
      max_target_length=31,
      batch_size=64,
      order="replacement",
    ),
    model=config.Model(
      embed_dim=100,
      encoder=config.Encoder(
        cell="gru_cho",
        dim=1000,
        direction="forward",
      ),
      decoder=config.Decoder(
        dim=1000,
        bridge="dense",
        context_at="both",
        input_feeding=False,
      ),
      attention=config.Attention(score="none"),
      readout=config.Readout(
        kind="maxout",
        dim=500,
        inputs="all",
      ),
      init=config.Init(weights="bahdanau"),
    ),
    optim=config.Optim(
      optimizer="adadelta",
      learning_rate=1.0,
      b2=0.95,
      eps=1e-6,
      clip_norm=1.0,
      normalize="sentences",
    ),
    train=config.Train(
      steps=500000,
      validate_every=10000,
      log_every=100,
      metric="loss",
      metrics=("bleu",),
    ),
    decode=config.Decode(beam_size=10, length_rule="average", alpha=1.0),
  )
