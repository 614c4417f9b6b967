"""Initial weights, as the papers draw them."""

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
  Luong et al. 2015); normal of deviation `scale`; bahdanau: normal of 0.01.
  """
  if kind == "uniform":
    return uniform(scale)
  if kind == "normal":
    return nn.initializers.normal(scale)
  if kind == "bahdanau":
    return nn.initializers.normal(0.01)
  return nn.initializers.xavier_uniform()


def recurrent(kind: str, scale: float, form: str):
  """Of a recurrent matrix.

  orthogonal, or the `same` as other matrices; `auto` is orthogonal with xavier
  and bahdanau, and the same with uniform and normal.
  """
  if form == "auto":
    form = "orthogonal" if kind in ("xavier", "bahdanau") else "same"
  if form == "orthogonal":
    return nn.initializers.orthogonal()
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
  return weights(kind, scale)


def by_gate(init, gates: int):
  """Initialises each gate's block of columns on its own."""

  def blocks(rng, shape, dtype=jnp.float32):
    rngs = jax.random.split(rng, gates)
    block = (*shape[:-1], shape[-1] // gates)
    return jnp.concatenate([init(r, block, dtype) for r in rngs], axis=-1)

  return blocks
