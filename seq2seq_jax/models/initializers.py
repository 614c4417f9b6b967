"""Initial weights, as the papers draw them.

Each function returns an initializer `init(rng, shape, dtype)`, as Linen's
`param` takes it. The kind `pytorch` is what its modules draw unless told
otherwise: embeddings normal of deviation 1; a product's matrix and bias uniform
in +-1 / sqrt(inputs); those of a recurrent cell in +-1 / sqrt(width), of which
it has two biases.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax import types

Init = Callable[..., types.Array]


def uniform(scale: float) -> Init:
  """Uniform in [-scale, scale]."""

  def init(
    rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
  ) -> types.Array:
    return jax.random.uniform(rng, shape, dtype, -scale, scale)

  return init


def weights(kind: str, scale: float) -> Init:
  """Matrix of a product.

  xavier (Glorot & Bengio 2010); uniform in +-scale (Sutskever et al. 2014,
  Luong et al. 2015); normal of deviation `scale`; bahdanau: normal of 0.01;
  pytorch: uniform by the inputs, all axes but the last.
  """
  if kind == "pytorch":

    def by_inputs(
      rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
    ) -> types.Array:
      return uniform(math.prod(shape[:-1]) ** -0.5)(rng, shape, dtype)

    return by_inputs
  if kind == "uniform":
    return uniform(scale)
  if kind == "normal":
    return nn.initializers.normal(scale)
  if kind == "bahdanau":
    return nn.initializers.normal(0.01)
  return nn.initializers.xavier_uniform()


def gate(kind: str, scale: float) -> Init:
  """Input matrix of one gate; pytorch's is by width, not by inputs."""
  if kind == "pytorch":

    def by_width(
      rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
    ) -> types.Array:
      return uniform(shape[-1] ** -0.5)(rng, shape, dtype)

    return by_width
  return weights(kind, scale)


def bias(kind: str, inputs: int) -> Init:
  """Bias of a product of so many inputs: 0, except for pytorch's."""
  if kind == "pytorch":
    return uniform(inputs**-0.5)
  return nn.initializers.zeros


def gate_bias(kind: str, width: int, count: int = 2) -> Init:
  """One bias that stands for the sum of `count` PyTorch biases."""
  if kind != "pytorch":
    return nn.initializers.zeros
  one = uniform(width**-0.5)

  def init(
    rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
  ) -> types.Array:
    return sum(one(r, shape, dtype) for r in jax.random.split(rng, count))

  return init


def orthogonal(
  rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
) -> types.Array:
  """Orthonormal columns, or rows if there are fewer (Saxe et al. 2014).

  By Gram and Schmidt, every vector twice, which leaves errors of single
  roundings. With LAPACK's QR, as in `nn.initializers.orthogonal`, a program
  that draws several can hang on a CPU: each call holds a thread of the pool
  while it waits for one.
  """
  first, last = math.prod(shape[:-1]), shape[-1]
  count, size = min(first, last), max(first, last)
  drawn = jax.random.normal(rng, (size, count)).T

  def vector(i: types.Array, q: types.Array) -> types.Array:
    v = drawn[i]
    # Rows of q from i on are still 0, so they take nothing away.
    for _ in range(2):
      along = jnp.matmul(q, v, precision="highest")
      v = v - jnp.matmul(along, q, precision="highest")
    return q.at[i].set(v / jnp.linalg.norm(v))

  q = jax.lax.fori_loop(0, count, vector, jnp.zeros_like(drawn))
  return (q if first < last else q.T).reshape(shape).astype(dtype)


def recurrent(kind: str, scale: float, form: str) -> Init:
  """Recurrent matrix.

  orthogonal, or the `same` as other matrices; `auto` is orthogonal with xavier
  and bahdanau, and the same with the others.
  """
  if form == "auto":
    form = "orthogonal" if kind in ("xavier", "bahdanau") else "same"
  if form == "orthogonal":
    return orthogonal
  return weights(kind, scale)


def alignment(kind: str, scale: float) -> Init:
  """Matrices of an attention; Bahdanau et al. 2015, appendix B.1: 0.001."""
  if kind == "bahdanau":
    return nn.initializers.normal(0.001)
  return weights(kind, scale)


def table(kind: str, scale: float, features: int) -> Init:
  """Table of embeddings."""
  if kind == "xavier":
    return nn.initializers.normal(features**-0.5)
  if kind == "pytorch":
    return nn.initializers.normal(1.0)
  return weights(kind, scale)


def by_gate(init: Init, gates: int) -> Init:
  """Initialises each gate's block of columns on its own.

  One draw for all of them, which is one program to compile instead of four.
  """

  def blocks(
    rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
  ) -> types.Array:
    block = (*shape[:-1], shape[-1] // gates)
    rngs = jax.random.split(rng, gates)
    drawn = jax.vmap(lambda r: init(r, block, dtype))(rngs)
    return jnp.moveaxis(drawn, 0, -2).reshape(shape)

  return blocks
