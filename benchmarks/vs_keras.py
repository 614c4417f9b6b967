"""A training step of Keras's tutorial model, beside Keras.

    python -m benchmarks.vs_keras [--json FILE] [--backend jax|torch|tensorflow]

Vocabulary 1,000, embeddings of 256, one LSTM of 512 on each side, batch 64,
length 20, Adam. Keras's fastest backend on a CPU is JAX; it trains by
`train_on_batch`, compiled. `products_share` as in `train_step`.
"""

import os

import numpy as np

from benchmarks import measure, ours, products
from seq2seq_jax import config

CONFIG = "configs/keras_tutorial.py"
ROWS, LENGTH, SIZE = 64, 20, 1000


def our_step() -> measure.Program:
  """Returns our step, with the number of parameters."""
  measure.setup()
  batch = ours.batch(ROWS, LENGTH, LENGTH, SIZE)
  trainer = ours.Trainer(config.load(CONFIG), SIZE, batch)
  return trainer.step, {"parameters": trainer.size()}


def peer_step(backend: str) -> measure.Program:
  """Returns `train_on_batch` of the same model, with its parameters."""
  os.environ["KERAS_BACKEND"] = backend
  import keras

  batch = ours.batch(ROWS, LENGTH, LENGTH, SIZE)
  layers = keras.layers
  source = keras.Input((LENGTH,), dtype="int32")
  target = keras.Input((LENGTH,), dtype="int32")
  x = layers.Embedding(SIZE, 256)(source)
  _, h, c = layers.LSTM(512, return_state=True)(x)
  y = layers.Embedding(SIZE, 256)(target)
  y = layers.LSTM(512, return_sequences=True)(y, initial_state=[h, c])
  logits = layers.Dense(SIZE)(y)
  model = keras.Model([source, target], logits)
  model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    jit_compile="auto",
  )
  bos = np.ones_like(batch.tgt[:, :1])
  inputs = np.concatenate([bos, batch.tgt[:, :-1]], axis=1)

  def step() -> float:
    return float(model.train_on_batch([batch.src, inputs], batch.tgt))

  return step, {"parameters": model.count_params()}


def products_alone() -> measure.Program:
  """Returns the products of a step."""
  measure.setup()
  program, _ = products.plain_step(config.load(CONFIG), SIZE, ROWS, LENGTH)
  return program, {}


def main() -> None:
  """Measures and reports."""
  p = measure.parser(__doc__)
  p.add_argument("--backend", default="jax")
  args = p.parse_args()
  programs = {
    "ours": measure.Subprocess(our_step),
    "keras": measure.Subprocess(peer_step, args.backend),
    "products": measure.Subprocess(products_alone),
  }
  sizes = [programs[name].facts["parameters"] for name in ("ours", "keras")]
  assert sizes[0] == sizes[1], sizes
  seconds = measure.interleave(programs, args.rounds or 12)
  measure.report(
    args,
    {
      "parameters": sizes[0],
      "backend": args.backend,
      "seconds_ours": measure.quartiles(seconds["ours"]),
      "seconds_keras": measure.quartiles(seconds["keras"]),
      "seconds_products": measure.quartiles(seconds["products"]),
      "ratio_to_keras": measure.ratio(seconds, "ours", "keras"),
      "products_share": measure.ratio(seconds, "products", "ours"),
      "products_to_keras": measure.ratio(seconds, "products", "keras"),
    },
  )


if __name__ == "__main__":
  main()
