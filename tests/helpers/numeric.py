"""What tests of models share: compiled programs, drawn arrays, slopes."""

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import types

# These programs run for milliseconds: fast compilation matters more.
FAST = {
  "xla_backend_optimization_level": 0,
}
DENSE = {"init_kind": "xavier", "init_scale": 0.1, "dtype": jnp.float32}


def compiled(f):
  """f as one program whose results are NumPy's."""
  run = jax.jit(f, compiler_options=FAST)
  return lambda *args: jax.tree.map(np.asarray, run(*args))


def close(got, want, tolerance=2e-5, floor=1e-6):
  """Equal relative to the largest entry."""
  got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
  assert got.shape == want.shape
  bound = tolerance * max(np.max(np.abs(want), initial=0.0), floor)
  assert np.max(np.abs(got - want), initial=0.0) <= bound


def trees_close(got, want, tolerance=1e-4):
  """Gradients, relative to the leaf with a floor relative to the tree."""
  got, want = dict(got), dict(want)
  assert set(got) == set(want)
  leaves = [np.max(np.abs(a), initial=0.0) for a in jax.tree.leaves(want)]
  for name in want:
    if isinstance(want[name], dict):
      trees_close(got[name], want[name], tolerance)
    else:
      close(got[name], want[name], tolerance, 0.1 * max(leaves))


def leaves_close(got, want, tolerance=1e-5):
  """Trees leaf by leaf, each relative to its own largest entry."""
  assert jax.tree.structure(got) == jax.tree.structure(want)
  jax.tree.map(lambda a, b: close(a, b, tolerance), got, want)


def scattered(variables, seed=0):
  """The same tree with every leaf, biases too, drawn anew."""
  rng = np.random.default_rng(seed)

  def draw(a):
    return rng.uniform(-0.6, 0.6, a.shape).astype(np.float32)

  return jax.tree.map(draw, variables)


def double(tree):
  return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def normal(rng, *shape):
  return rng.normal(size=shape).astype(np.float32)


def slopes_close(grads, f, tree, step=1e-5, tolerance=1e-4):
  """Gradients against differences of f along one direction in each leaf."""
  leaves, structure = jax.tree.flatten(double(tree))
  assert jax.tree.structure(grads) == structure
  rng = np.random.default_rng(11)
  got, want = [], []
  for i, grad in enumerate(jax.tree.leaves(grads)):
    way = rng.normal(size=leaves[i].shape)
    near = []
    for side in (step, -step):
      moved = [*leaves[:i], leaves[i] + side * way, *leaves[i + 1 :]]
      near.append(f(structure.unflatten(moved)))
    want.append((near[0] - near[1]) / (2 * step))
    got.append(np.sum(np.asarray(grad, np.float64) * way))
  floor = 0.1 * np.max(np.abs(want))
  assert floor > 0
  for a, b in zip(got, want):
    close(a, b, tolerance, floor)


def leaves_of(kind):
  return 2 if kind.endswith("lstm") or kind == "sru" else 1


def some_memory(rng, depth, leaves, width, rows=2, size=3):
  """Values, lengths and states of an encoder."""
  lengths = np.array([size, *rng.integers(1, size, rows - 1)], np.int32)
  mask = np.arange(size)[None] < lengths[:, None]
  values = normal(rng, rows, size, width) * mask[..., None]
  state = tuple(
    tuple(normal(rng, rows, width) for _ in range(leaves)) for _ in range(depth)
  )
  return types.Memory(values, mask, state)


def drawn_for(module, length, rows=5):
  """Masks as those of a batch of `rows` rows."""
  rng = np.random.default_rng(12)
  out = {}
  for mask in module.mask_specs():
    steps = -(-length // mask.stride)
    shape = (1 if mask.shared else steps, rows, mask.width)
    kept = (rng.random(shape) >= mask.rate) / np.float32(1 - mask.rate)
    if mask.rate:
      out[mask.name] = np.broadcast_to(kept, (steps, *shape[1:]))
  return {k: v.astype(np.float32) for k, v in out.items()}
