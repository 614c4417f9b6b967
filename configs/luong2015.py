"""Luong, Pham & Manning 2015 (arXiv 1508.04025), WMT 2014 English to German.

The best single model of their Table 1: four LSTM layers of 1,000 units,
reversed source, dropout 0.2, local attention with predicted centres (local-p)
and general score, input feeding. Twelve epochs of SGD, the rate halved every
epoch after the eighth.

    pip install -c constraints.txt -e '.[prepare]'
    python -m seq2seq_jax.data.prepare wmt14_translate/de-en --data-dir DIR
    python -m seq2seq_jax.train configs/luong2015.py \\
      --workdir runs/luong2015 --data.root DIR

Global attention: `--model.attention_window none`; location based:
`--model.attention location --model.attention_window none`; without attention:
`--model.attention none --model.attention_window none --model.input_feeding
False`.

Hardware: one GPU of 80 GB, about a week (an estimate; theirs took 7 to 10 days
on a K40). Not trained here. Published on 2,737 sentences of newstest2014, in
tokenised BLEU (read in the author's thesis): 19.0, and 20.9 with unknown words
replaced; global attention with the location score and feeding 18.1, without
feeding 16.8, no attention 14.0.

What differs: 50,000 BPE pieces a side take the place of 50,000 words, so 50
counts pieces and there are no unknown words to replace; epochs are counted on
4.5 M pairs; biases start at 0. SacreBLEU scores all 3,003 sentences.
"""

from seq2seq_jax import config

EPOCH = 4_500_000 // 128


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="tfds",
      name="wmt14_translate/de-en",
      train=("train",),
      valid=("validation",),
      test=("test",),
      source_field="en",
      target_field="de",
      source=config.Text(tokenizer="bpe", vocab_size=50000),
      target=config.Text(tokenizer="bpe", vocab_size=50000),
      reverse_source=True,
      max_source_length=51,
      max_target_length=51,
      batch_size=128,
      buckets=8,
    ),
    model=config.Model(
      cell="lstm",
      forget_bias=0.0,
      embed_dim=1000,
      encoder_dim=1000,
      encoder_layers=4,
      direction="forward",
      decoder_dim=1000,
      decoder_layers=4,
      bridge="last",
      attention="general",
      attention_dim=1000,
      attention_window="predictive",
      attention_window_size=10,
      placement="after",
      input_feeding=True,
      feed="readout",
      readout="tanh",
      readout_dim=1000,
      dropout_embed=0.2,
      dropout_rnn=0.2,
      init="uniform",
      init_scale=0.1,
    ),
    optim=config.Optim(
      optimizer="sgd",
      learning_rate=1.0,
      clip_norm=5.0,
      normalize="sentences",
      schedule="halving",
      decay_start=8 * EPOCH,
      decay_every=EPOCH,
    ),
    train=config.Train(
      steps=12 * EPOCH,
      validate_every=5000,
      log_every=100,
      metric="bleu",
    ),
    decode=config.Decode(beam_size=10, length_rule="none"),
  )
