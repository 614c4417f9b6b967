"""The matrix products of a training step alone: the floor of its time.

Programs with the products of a step in the same shapes, dtype and loops, and
nothing else.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config

Program = Callable[[], Any]
Product = tuple[int, int, int]  # rows, inner size, columns
LARGE = 2048


class Attended(NamedTuple):
  """Sizes of an attention over the source."""

  rows: int
  source: int
  target: int
  width: int


def attentional_step(
  conf: config.Config, size: int, rows: int, source: int, target: int
) -> tuple[Program, int]:
  """Returns the products of a step of `ours.medium()`, and their flops.

  Args:
    conf: of the model.
    size: of both vocabularies.
    rows: of the batch.
    source: length.
    target: length.
  """
  model = conf.model
  e, h = model.embed_dim, model.encoder.dim
  d, r = model.decoder.dim, model.readout.dim
  once = [
    (rows * source, e, 4 * h),
    (rows * source, e, 4 * h),
    (rows * source, 2 * h, d),
    (rows * target, e, 4 * d),
    (rows * target, r, size),
  ]
  loops = [
    (source, [(rows, h, 4 * h)]),
    (source, [(rows, h, 4 * h)]),
    (target, [(rows, r + d, 4 * d), (rows, d + 2 * h, r)]),
  ]
  return _program(once, loops, Attended(rows, source, target, d))


def plain_step(
  conf: config.Config, size: int, rows: int, length: int
) -> tuple[Program, int]:
  """Returns the products of an encoder-decoder without attention."""
  e, d = conf.model.embed_dim, conf.model.decoder.dim
  once = [(rows * length, e, 4 * d)] * 2 + [(rows * length, d, size)]
  return _program(once, [(length, [(rows, d, 4 * d)])] * 2, None)


def large_product() -> tuple[Program, int]:
  """Returns one product of two large square matrices: the machine's rate."""
  x = jnp.ones((LARGE, LARGE), jnp.float32)

  @jax.jit
  def square(x: jax.Array) -> jax.Array:
    return x @ x

  return lambda: square(x).block_until_ready(), 2 * LARGE**3


def _program(
  once: Sequence[Product],
  loops: Sequence[tuple[int, Sequence[Product]]],
  attended: Attended | None,
) -> tuple[Program, int]:
  """Returns a compiled program of products, and their flops.

  Args:
    once: products outside of loops; the two of the backward pass come with
      each.
    loops: (steps, products of a step); the weights' gradients come after the
      loop, as one product.
    attended: sizes of an attention, or None.
  """
  rng = np.random.default_rng(0)

  def normal(*shape: int) -> jax.Array:
    values = rng.normal(size=shape, scale=shape[-1] ** -0.5)
    return jnp.asarray(values, jnp.float32)

  plain = [(normal(n, k), normal(k, c), normal(n, c)) for n, k, c in once]
  stepped = [
    [(normal(t, n, k), normal(k, c), normal(t, n, c)) for n, k, c in products]
    for t, products in loops
  ]
  flops = sum(6 * n * k * c for n, k, c in once)
  flops += sum(6 * t * n * k * c for t, ps in loops for n, k, c in ps)
  memory: tuple[jax.Array, ...] = ()
  if attended:
    rows, source, target, width = attended
    memory = (normal(rows, source, width), normal(target, rows, 1, width))
    flops += 2 * 6 * target * rows * source * width

  @jax.jit
  def run(plain: Any, stepped: Any, memory: Any) -> Any:
    out: list[Any] = [with_backward(*product) for product in plain]
    for products in stepped:
      out.append(looped([(x, w) for x, w, _ in products]))
      out.append(looped([(g, w.T) for _, w, g in products]))
      for x, _, g in products:
        flat_x, flat_g = (a.reshape(-1, a.shape[-1]) for a in (x, g))
        out.append(flat_x.T @ flat_g)
    return out, attention(*memory) if memory else None

  return lambda: jax.block_until_ready(run(plain, stepped, memory)), flops


def with_backward(
  x: jax.Array, w: jax.Array, g: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns a product, and the two of its backward pass; g: its cotangent."""
  return x @ w, g @ w.T, x.T @ g


def looped(pairs: Sequence[tuple[jax.Array, jax.Array]]) -> list[jax.Array]:
  """Returns the products of each step, one step after the other.

  Args:
    pairs: (x [T, B, K], w [K, C]) of each product of a step.
  """

  def body(
    carry: jax.Array, xs: list[jax.Array]
  ) -> tuple[jax.Array, list[jax.Array]]:
    # A step that needs nothing of the one before would be hoisted.
    out = [(x + carry) @ w for x, (_, w) in zip(xs, pairs)]
    return sum(y[0, 0] for y in out) * 1e-20, out  # type: ignore

  return jax.lax.scan(body, jnp.float32(0.0), [x for x, _ in pairs])[1]


def attention(
  values: jax.Array, queries: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Does the products of an attention in each step, forward and backward.

  Args:
    values: [B, S, D].
    queries: [T, B, 1, D].
  """

  def body(
    carry: jax.Array, q: jax.Array
  ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    scores = jnp.einsum("bqd,bsd->bqs", q + carry, values)
    context = jnp.einsum("bqs,bsd->bqd", scores, values)
    d_scores = jnp.einsum("bqd,bsd->bqs", context, values)
    d_query = jnp.einsum("bqs,bsd->bqd", d_scores, values)
    return d_query[0, 0, 0] * 1e-20, (scores, context, d_scores, d_query)

  _, (scores, context, d_scores, d_query) = jax.lax.scan(
    body, jnp.float32(0.0), queries
  )
  d_values = jnp.einsum("tbqs,tbqd->bsd", scores, d_query)
  d_keys = jnp.einsum("tbqs,tbqd->bsd", d_scores, context)
  return d_values, d_keys
