"""Initial weights, as the papers draw them.

`pytorch` is what its modules draw unless told otherwise: embeddings normal of
deviation 1; a product's matrix and bias uniform in +-1 / sqrt(inputs); those of
a recurrent cell in +-1 / sqrt(width), of which it has two biases.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp


def uniform(scale: float):
  """Uniform in [-scale, scale]."""

  def init(rng, shape, dtype=jnp.float32):
    return jax.random.uniform(rng, shape, dtype, -scale, scale)

  return init


def weights(kind: str, scale: float):
  """Of a product's matrix.

  xavier (Glorot & Bengio 2010); uniform in +-scale (Sutskever et al. 2014,
  Luong et al. 2015); normal of deviation `scale`; bahdanau: normal of 0.01;
  pytorch: uniform by the inputs, all axes but the last.
  """
  if kind == "pytorch":
    return lambda rng, shape, dtype=jnp.float32: uniform(
      math.prod(shape[:-1]) ** -0.5
    )(rng, shape, dtype)
  if kind == "uniform":
    return uniform(scale)
  if kind == "normal":
    return nn.initializers.normal(scale)
  if kind == "bahdanau":
    return nn.initializers.normal(0.01)
  return nn.initializers.xavier_uniform()


def gate(kind: str, scale: float):
  """Of one gate's matrix of inputs; pytorch's is by width, not by inputs."""
  if kind == "pytorch":
    return lambda rng, shape, dtype=jnp.float32: uniform(shape[-1] ** -0.5)(
      rng, shape, dtype
    )
  return weights(kind, scale)


def bias(kind: str, inputs: int):
  """Of a product of so many inputs: 0, but for pytorch's."""
  if kind == "pytorch":
    return uniform(inputs**-0.5)
  return nn.initializers.zeros


def gate_bias(kind: str, width: int, count: int = 2):
  """Of a cell that adds `count` biases where ours has one."""
  if kind != "pytorch":
    return nn.initializers.zeros
  one = uniform(width**-0.5)

  def init(rng, shape, dtype=jnp.float32):
    return sum(one(r, shape, dtype) for r in jax.random.split(rng, count))

  return init


def orthogonal(rng, shape, dtype=jnp.float32):
  """Orthonormal columns, or rows where there are fewer (Saxe et al. 2014).

  By Gram and Schmidt, every vector twice, which leaves errors of single
  roundings. With LAPACK's QR, as in `nn.initializers.orthogonal`, a program
  that draws several can hang on a CPU: each call holds a thread of the pool
  while it waits for one.
  """
  first, last = math.prod(shape[:-1]), shape[-1]
  count, size = min(first, last), max(first, last)
  drawn = jax.random.normal(rng, (size, count)).T

  def vector(i, q):
    v = drawn[i]
    for _ in range(2):
      along = jnp.matmul(q, v, precision="highest")
      v = v - jnp.matmul(along, q, precision="highest")
    return q.at[i].set(v / jnp.linalg.norm(v))

  q = jax.lax.fori_loop(0, count, vector, jnp.zeros_like(drawn))
  return (q if first < last else q.T).reshape(shape).astype(dtype)


def recurrent(kind: str, scale: float, form: str):
  """Of a recurrent matrix.

  orthogonal, or the `same` as other matrices; `auto` is orthogonal with xavier
  and bahdanau, and the same with the others.
  """
  if form == "auto":
    form = "orthogonal" if kind in ("xavier", "bahdanau") else "same"
  if form == "orthogonal":
    return orthogonal
  return weights(kind, scale)


def alignment(kind: str, scale: float):
  """Of an attention's matrices; Bahdanau et al. 2015, appendix B.1: 0.001."""
  if kind == "bahdanau":
    return nn.initializers.normal(0.001)
  return weights(kind, scale)


def table(kind: str, scale: float, features: int):
  """Of embeddings."""
  if kind == "xavier":
    return nn.initializers.normal(features**-0.5)
  if kind == "pytorch":
    return nn.initializers.normal(1.0)
  return weights(kind, scale)


def by_gate(init, gates: int):
  """Initialises each gate's block of columns on its own.

  One draw for all of them, which is one program to compile instead of four.
  """

  def blocks(rng, shape, dtype=jnp.float32):
    block = (*shape[:-1], shape[-1] // gates)
    rngs = jax.random.split(rng, gates)
    drawn = jax.vmap(lambda r: init(r, block, dtype))(rngs)
    return jnp.moveaxis(drawn, 0, -2).reshape(shape)

  return blocks
