"""The products of a training step alone: the floor of its time.

The same matrix products as a step of `ours.medium()`, in the same shapes, dtype
and loops, in one program with nothing else.
"""

import jax
import jax.numpy as jnp
import numpy as np


def program(conf, size: int, rows: int, source: int, target: int):
  """The attentional model's: a function without arguments, and its flops."""
  m = conf.model
  e, h, d, r = m.embed_dim, m.encoder.dim, m.decoder.dim, m.readout.dim
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
  return _compiled(once, loops, (rows, source, target, d))


def tutorial(conf, size: int, rows: int, length: int):
  """The same of the encoder-decoder without attention."""
  m = conf.model
  e, d = m.embed_dim, m.decoder.dim
  once = [(rows * length, e, 4 * d)] * 2 + [(rows * length, d, size)]
  return _compiled(once, [(length, [(rows, d, 4 * d)])] * 2, None)


def _compiled(once, loops, attended):
  """
  Args:
    once: (rows, inner, columns) of products outside of loops. Each comes with
      the two of its backward pass.
    loops: (steps, products) of loops; the weights' gradients behind them.
    attended: (rows, source, target, width) of an attention, or None.
  """
  rng = np.random.default_rng(0)
  normal = lambda *shape: jnp.asarray(
    rng.normal(size=shape, scale=shape[-1] ** -0.5), jnp.float32
  )
  plain = [(normal(n, k), normal(k, c), normal(n, c)) for n, k, c in once]
  stepped = [
    [(normal(t, n, k), normal(k, c), normal(t, n, c)) for n, k, c in products]
    for t, products in loops
  ]
  flops = sum(6 * n * k * c for n, k, c in once)
  flops += sum(6 * t * n * k * c for t, ps in loops for n, k, c in ps)
  memory = ()
  if attended:
    rows, source, target, width = attended
    memory = (normal(rows, source, width), normal(target, rows, 1, width))
    flops += 2 * 6 * target * rows * source * width

  @jax.jit
  def run(plain, stepped, memory):
    out = [triple(*p) for p in plain]
    for products in stepped:
      out.append(looped([(x, w) for x, w, _ in products]))
      out.append(looped([(g, w.T) for _, w, g in products]))
      for x, _, g in products:
        flat = lambda a: a.reshape(-1, a.shape[-1])
        out.append(flat(x).T @ flat(g))
    return out, attention(*memory) if memory else None

  return lambda: jax.block_until_ready(run(plain, stepped, memory)), flops


def triple(x, w, g):
  """A product, and the two of its backward pass."""
  return x @ w, g @ w.T, x.T @ g


def looped(pairs):
  """Products of each step, one step after the other."""

  def body(carry, xs):
    # What each step needs of the one before, so that none is hoisted.
    out = [(x + carry) @ w for x, (_, w) in zip(xs, pairs)]
    return sum(y[0, 0] for y in out) * 1e-20, out

  return jax.lax.scan(body, jnp.float32(0.0), [x for x, _ in pairs])[1]


def attention(values, queries):
  """Scores and contexts of each step, and the products of both backwards."""

  def body(carry, q):
    scores = jnp.einsum("bqd,bsd->bqs", q + carry, values)
    context = jnp.einsum("bqs,bsd->bqd", scores, values)
    back = jnp.einsum("bqd,bsd->bqs", context, values)
    d_query = jnp.einsum("bqs,bsd->bqd", back, values)
    return d_query[0, 0, 0] * 1e-20, (scores, context, back, d_query)

  _, (scores, context, back, d_query) = jax.lax.scan(
    body, jnp.float32(0.0), queries
  )
  d_values = jnp.einsum("tbqs,tbqd->bsd", scores, d_query)
  d_keys = jnp.einsum("tbqs,tbqd->bsd", back, context)
  return d_values, d_keys
