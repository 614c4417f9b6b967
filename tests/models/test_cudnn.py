"""The LSTM layer for cuDNN: its packing, and what stands in for it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

from seq2seq_jax import config, types
from seq2seq_jax.models import cudnn, recurrence
from tests.helpers.numeric import close, leaves_close
from tests.helpers.small_models import example, made

pytestmark = pytest.mark.usefixtures("strict")
WIDTH = {"encoder.dim": 6, "decoder.dim": 12}


@pytest.mark.quick
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_packed_parameters_are_the_cells(direction):
  """cuDNN's reference with the packed vector equals our layer."""
  model, variables = made(
    **{"encoder.direction": direction, "decoder.bridge": "dense"}
  )
  batch = example()

  def run(module):
    encoder = module.encoder
    x, lengths = encoder.embed(batch.src, batch.src_len)
    cells = [encoder.cells[f"{n}_0"] for n in encoder.directions(0)]
    size, width = x.shape[-1], cells[0].features
    both = len(cells) == 2
    w = rnn.unpack_lstm_weights(cudnn.pack(cells), size, width, 1, both)
    count = rnn.get_num_params_in_lstm(size, width, 1, both)
    assert cudnn.pack(cells).shape == (count,)
    zeros = jnp.zeros((len(cells), x.shape[0], width), jnp.float32)
    y, h, c = rnn.lstm_ref(
      x, zeros, zeros, *w, lengths, size, width, 1, 0.0, both
    )
    return (y, h, c), encoder.scanned(0, [x], lengths, None)

  with jax.numpy_dtype_promotion("standard"):
    (y, h, c), ((c1, h1), outputs) = jax.jit(
      lambda v: model.apply(v, method=run)
    )(variables)
  real = np.arange(y.shape[1])[None] < batch.src_len[:, None]
  close(np.where(real[..., None], y, 0), np.concatenate(outputs, -1))
  close(np.concatenate(list(h), -1), h1)
  close(np.concatenate(list(c), -1), c1)


def test_elsewhere_the_scan_stands_in_for_it():
  batch = example()
  found = []
  for kind in ("scan", "cudnn"):
    model, variables = made(recurrence=kind, **{"encoder.layers": 2})

    def total(variables, model=model):
      return model.apply(variables, batch, method="losses")["loss"]

    found.append(jax.jit(jax.value_and_grad(total))(variables))
  close(found[1][0], found[0][0])
  leaves_close(found[1][1], found[0][1])


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs a GPU")
def test_cudnn_equals_the_scan():
  test_elsewhere_the_scan_stands_in_for_it()


@pytest.mark.quick
@pytest.mark.parametrize(
  "changes",
  [
    {"encoder.cell": "gru"},
    {"dtype": "bfloat16"},
    {"dropout.zoneout": 0.1},
    {"dropout.state": 0.1},
    {"encoder.direction": "backward"},
    {"transition_depth": 2},
  ],
)
def test_what_it_cannot_is_refused(changes):
  with pytest.raises(types.UserError, match="cudnn"):
    config.replace(config.Model(), {"recurrence": "cudnn", **changes})


@pytest.mark.quick
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_product_of_all_equals_the_product(dtype):
  rng = np.random.default_rng(0)

  def draw(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  x, w, pull = draw(3, 4, 5), draw(5, 6), draw(3, 4, 6)

  def run(product):
    def total(x, w):
      return jnp.sum(product(x, w, dtype) * pull)

    return jax.value_and_grad(total, (0, 1))(x, w)

  got, want = run(recurrence.product_of_all), run(recurrence.product)
  tolerance = 1e-5 if dtype == jnp.float32 else 2e-2
  close(got[0], want[0], tolerance)
  for a, b in zip(got[1], want[1]):
    close(a, b, tolerance)
