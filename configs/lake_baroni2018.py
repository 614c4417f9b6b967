"""Lake & Baroni 2018 (arXiv 1711.00350), SCAN, by the paper's own protocol.

    python -m seq2seq_jax.train configs/lake_baroni2018.py --workdir runs/scan

Their overall-best model: an LSTM of two layers of 200 on either side, without
attention, embeddings of 200, dropout 0.5 on embeddings and recurrent layers.
100,000 updates of one example each, drawn with replacement from the training
rows (with the primitives of the add-primitive splits over-sampled, as
published); Adam 1e-3, gradients clipped to 5, and in half of the sentences the
decoder's own tokens are fed back. Greedy decoding, exact match of the whole
sequence, the last parameters: the paper has no validation part.

Published, mean of five runs: simple 99.7 %, length 13.8 (`--data.name length`),
turn left 90.0 (`addprim_turn_left`), jump 0.08 (`addprim_jump`). The best
models of each split are overrides in `configs/ablations/scan.py`.

What the paper leaves open follows PyTorch, in which its models were written:
its initial weights, biases and embeddings, dropout between layers and not on
the last one's output. The coin for self-feeding falls once a sentence.
"""

from seq2seq_jax import config


def get_config() -> config.Config:
  return config.Config(
    data=config.Data(
      task="scan",
      name="simple",
      batch_size=1,
      row_multiple=1,
      buckets=5,
      order="replacement",
    ),
    model=config.Model(
      embed_dim=200,
      encoder=config.Encoder(
        cell="lstm",
        dim=200,
        layers=2,
        direction="forward",
      ),
      decoder=config.Decoder(
        dim=200,
        layers=2,
        bridge="last",
        input_feeding=False,
      ),
      attention=config.Attention(score="none"),
      readout=config.Readout(
        kind="linear",
        inputs="state",
      ),
      dropout=config.Dropout(
        embed=0.5,
        rnn=0.5,
        last=False,
      ),
      init=config.Init(
        forget_bias=0.0,
        weights="pytorch",
      ),
    ),
    optim=config.Optim(
      learning_rate=1e-3,
      clip_norm=5.0,
      sampling="constant",
      sampling_rate=0.5,
      sampling_granularity="sequence",
    ),
    train=config.Train(
      steps=100_000,
      steps_per_call=100,
      validate_every=100_000,
      log_every=1000,
      metric="exact_match",
    ),
    decode=config.Decode(beam_size=1, max_ratio=0.0, max_extra=60),
  )
