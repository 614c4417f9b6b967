"""The encoder-decoder of Keras's tutorial, on a generated task.

"A ten-minute introduction to sequence-to-sequence learning in Keras" (Chollet
2017; after Sutskever et al. 2014, arXiv 1409.3215): one LSTM reads the source,
its last states start another one, a softmax over its outputs. No attention.

    python -m seq2seq_jax.train configs/keras_tutorial.py \\
      --workdir runs/keras_tutorial

Generated data, no download. Hardware: two CPU cores, about half an hour (an
estimate). Not trained here; the tutorial gives no score, so none is expected.
It is here to be timed beside the same model in Keras.

What differs: sequences of 996 symbols to be reversed take the place of the
tutorial's English and French characters, embeddings of 256 that of one-hot
inputs, 512 units that of 256, and Adam that of RMSProp.
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="reverse",
      synthetic=config.Synthetic(
        train=50000,
        valid=500,
        test=1000,
        min_length=5,
        max_length=15,
        symbols=996,
      ),
      source=config.Text(tokenizer="word", vocab_size=1000),
      target=config.Text(tokenizer="word", vocab_size=1000),
      batch_size=64,
      buckets=1,
    ),
    model=config.Model(
      embed_dim=256,
      encoder=config.Encoder(
        cell="lstm",
        dim=512,
        direction="forward",
      ),
      decoder=config.Decoder(
        dim=512,
        bridge="last",
        input_feeding=False,
      ),
      attention=config.Attention(score="none"),
      readout=config.Readout(
        kind="linear",
        inputs="state",
      ),
    ),
    optim=config.Optim(optimizer="adam", learning_rate=1e-3, clip_norm=0.0),
    train=config.Train(
      steps=5000,
      validate_every=500,
      metric="exact_match",
      metrics=("token_accuracy",),
    ),
    decode=config.Decode(beam_size=1, max_ratio=1.0, max_extra=2),
  )
