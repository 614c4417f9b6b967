"""See, Liu & Manning 2017 (arXiv 1704.04368): pointer-generator with coverage.

Summaries of CNN and Daily Mail articles. A bidirectional LSTM of 256, an LSTM
decoder of 256 that is fed its last context, and a gate between words of the
vocabulary and words of the article.

Coverage comes in a short last part; this config is that part:

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare cnn_dailymail --data-dir DIR
    python -m seq2seq_jax.train configs/see2017.py \\
      --workdir runs/see2017_pointer --data.root DIR \\
      --model.attention.score additive --optim.objectives likelihood \\
      --train.steps 230000 --train.validate_every 5000
    python -m seq2seq_jax.train configs/see2017.py \\
      --workdir runs/see2017 --data.root DIR \\
      --train.init_from runs/see2017_pointer

Without the pointer, in one part: `--model.head softmax --model.attention.score
additive --optim.objectives likelihood --train.steps 600000`.

Hardware: one GPU, days (an estimate). Not trained here. Published, ROUGE-1/2/L
F1: 39.53 / 17.28 / 36.38 with coverage, 36.44 / 15.66 / 33.42 without, 31.33 /
11.81 / 28.83 without pointer (all transcribed). The authors' released code
scores slightly lower, as its page says. 230,000, 3,000 and 600,000 updates are
recalled, unconfirmed. Here 28.2 M parameters; 21.5 M by their code.

Sources end with EOS here, which can be copied too; the authors' have none.

Their ROUGE is pyrouge's (ROUGE-1.5.5), with stemming, and ROUGE-L over the
sentences of a summary; the metrics here are rouge-score's F1 without stemming,
and `rougeL` takes a summary as one sentence. They share a name and are not the
same; without stemming ours are, as a rule, lower on equal outputs.

What differs: articles are not cut to 400 words and summaries not to 100, but
training pairs above 800 and 120 are left out; the set's text is lower-cased
here but not tokenised, so punctuation sticks to words and scores differ by that
too; each side has embeddings of its own over the one vocabulary; there is a
tanh in the layer before the softmax and in that of the decoder's first state
(theirs: none, and ReLU); the context enters the LSTM directly, and the query is
its h alone; all weights start uniform in +-0.02 (theirs: LSTMs alone);
Adagrad's sums start afresh in the last part; the loss is a mean over words
(theirs: over each summary's words, then summaries). The
shortest summary is 1/20 of the article (theirs: 35 words). Validation uses
1,000 articles.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.tfds(
      "cnn_dailymail",
      "article",
      "highlights",
      valid="validation[:1000]",
      source=config.Text(tokenizer="word", vocab_size=50000, lowercase=True),
      joint=True,
      max_source_length=800,
      max_target_length=120,
      batch_size=16,
      buckets=8,
    ),
    model=config.Model(
      embed_dim=128,
      encoder=config.Encoder(
        cell="lstm",
        dim=256,
        direction="both",
      ),
      decoder=config.Decoder(
        dim=256,
        bridge="dense",
        placement="luong",
        input_feeding=True,
        feed="context",
      ),
      attention=config.Attention(
        score="coverage",
        dim=512,
      ),
      readout=config.Readout(
        kind="tanh",
        dim=256,
      ),
      init=config.Init(
        weights="uniform",
        scale=0.02,
      ),
      head="pointer",
    ),
    optim=config.Optim(
      optimizer="adagrad",
      learning_rate=0.15,
      # Added to the sum of squares: TensorFlow's initial accumulator.
      eps=0.1,
      clip_norm=2.0,
      objectives=("likelihood", "coverage"),
      label_smoothing=0.0,
    ),
    train=config.Train(
      steps=3000,
      validate_every=500,
      metric="loss",
      metrics=("rouge1", "rouge2", "rougeL"),
    ),
    decode=config.Decode(
      beam_size=4,
      length_rule="average",
      alpha=1.0,
      min_ratio=0.05,
      max_ratio=0.0,
      max_extra=120,
    ),
  )
