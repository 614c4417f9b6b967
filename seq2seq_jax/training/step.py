"""The train step: a plain, pure function; `runtime.parallel` maps it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seq2seq_jax import types

Array = Any
# (state, batch, *, axis_name=None, shape=None) -> (state, metrics).
TrainStep = Callable[..., tuple["TrainState", dict[str, Array]]]


class TrainState(NamedTuple):
  """Everything on the devices that a run is resumed from."""

  step: Array  # [] int32, updates made
  seed: Array  # [] uint32
  params: Any
  opt_state: Any
  ema: Any  # averaged parameters, or None
  lr_scale: Array  # [] float32, factor of the learning rate; 0: stopped


def init_state(
  params: Any,
  optimizer: optax.GradientTransformationExtraArgs,
  seed: int,
  ema: bool,
) -> TrainState:
  """The state before the first update."""
  return TrainState(
    step=jnp.int32(0),
    seed=jnp.uint32(seed),
    params=params,
    opt_state=optimizer.init(params),
    ema=jax.tree.map(jnp.copy, params) if ema else None,
    lr_scale=jnp.float32(1.0),
  )


def make_train_step(
  loss_fn: Callable[..., tuple[Array, dict[str, tuple[Array, Array]]]],
  optimizer: optax.GradientTransformationExtraArgs,
  schedule: Callable[[Array], Array],
  *,
  normalize: str = "tokens",
  accumulate: int = 1,
  ema_decay: float = 0.0,
) -> TrainStep:
  """Builds `train_step(state, batch, *, axis_name=None) -> state, metrics`.

  Gradients are of the loss, a sum over the batch, and are divided once by the
  weight of the whole batch over all devices and parts. With `shape`, a `Shape`,
  the batch is cut to it before anything is computed.

  Args:
    loss_fn: (params, batch, seed, step) -> the summed loss [], and terms by
      name that are shown, each a sum and the weight that divides it.
    optimizer: as made by `optim.optimizer`.
    schedule: step -> learning rate.
    normalize: the weight: the batch's target `tokens`, or its `sentences`.
    accumulate: parts of a device's rows computed one after the other.
    ema_decay: of the averaged parameters.
  """

  def with_sums(params: Any, batch: types.Batch, state: TrainState) -> Any:
    loss, terms = loss_fn(params, batch, state.seed, state.step)
    return loss, (loss, terms)

  gradient = jax.grad(with_sums, has_aux=True)

  def accumulated(params: Any, batch: types.Batch, state: TrainState) -> Any:
    """Gradient and sums over the parts of a batch, one after the other."""
    if accumulate == 1:
      return gradient(params, batch, state)

    def add(total: Any, rows: types.Batch) -> tuple[Any, None]:
      grads = gradient(params, rows, state)
      return jax.tree.map(jnp.add, total, grads), None

    parts = jax.tree.map(
      lambda x: x.reshape(accumulate, -1, *x.shape[1:]), batch
    )
    first = jax.tree.map(lambda x: x[0], parts)
    shapes = jax.eval_shape(gradient, params, first, state)
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return jax.lax.scan(add, zero, parts)[0]

  def at_shape(state: TrainState, batch: types.Batch, shape: "Shape") -> Any:
    """Gradient and sums of the batch, cut to one of a few shapes."""

    def branch(size: tuple[int, int]) -> Callable[[types.Batch], Any]:
      return lambda b: accumulated(state.params, cut(b, size), state)

    # Around the gradients alone: a state passed through would be copied.
    branches = [branch(size) for size in shape.sizes]
    return jax.lax.switch(shape.index, branches, batch)

  def train_step(
    state: TrainState,
    batch: types.Batch,
    *,
    axis_name: str | None = None,
    shape: "Shape | None" = None,
  ) -> tuple[TrainState, dict[str, Array]]:
    if shape is None:
      grads, sums = accumulated(state.params, batch, state)
    else:
      grads, sums = at_shape(state, batch, shape)
    counts = {
      "tokens": jnp.sum(batch.tgt_len).astype(jnp.float32),
      "sentences": jnp.sum(batch.tgt_len > 0).astype(jnp.float32),
    }
    if axis_name is not None:
      grads, sums, counts = jax.lax.psum((grads, sums, counts), axis_name)
    (loss, terms), weight = sums, counts[normalize]
    rate = schedule(state.step) * state.lr_scale
    updates, opt_state = optimizer.update(
      grads, state.opt_state, state.params, weight=weight
    )
    params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
    ema = state.ema
    if ema is not None:
      ema = jax.tree.map(
        lambda a, p: a * ema_decay + p * (1.0 - ema_decay), ema, params
      )
    # A term's weight is 0 if no row of the batch has it; so is its sum then.
    metrics = {
      name: value / jnp.maximum(count, 1e-9)
      for name, (value, count) in terms.items()
    }
    metrics |= {
      "loss": loss / weight,
      "tokens": counts["tokens"],
      "grad_norm": optax.tree.norm(grads) / weight,
      "learning_rate": rate,
    }
    state = state._replace(
      step=state.step + 1, params=params, opt_state=opt_state, ema=ema
    )
    return state, metrics

  return train_step


def over_replicas(train_step: TrainStep) -> TrainStep:
  """The step of several runs in one program.

  State has a leading axis of replicas, metrics too; of a batch the replicas are
  axis 1, after the rows. A replica whose `lr_scale` is 0 has stopped and stays
  as it is.
  """

  def replicas_step(
    state: TrainState,
    batch: types.Batch,
    *,
    axis_name: str | None = None,
    shape: "Shape | None" = None,
  ) -> tuple[TrainState, dict[str, Array]]:
    def one(state: TrainState, batch: types.Batch) -> Any:
      return train_step(state, batch, axis_name=axis_name, shape=shape)

    new, metrics = jax.vmap(one, in_axes=(0, 1))(state, batch)

    def keep(old: Array, new: Array) -> Array:
      running = state.lr_scale.reshape(-1, *(1,) * (new.ndim - 1)) > 0
      return jnp.where(running, new, old)

    return jax.tree.map(keep, state, new), metrics

  return replicas_step


class Shape(NamedTuple):
  """Which of a few lengths a batch is cut to."""

  index: Array  # [] int32, into `sizes`
  sizes: Sequence[tuple[int, int]]  # (source, target) lengths, ascending


def cut(batch: types.Batch, size: tuple[int, int]) -> types.Batch:
  """A batch without the padding beyond (source, target) lengths."""
  source, target = size

  def part(ids: Array | None, length: int) -> Array | None:
    return None if ids is None else ids[:, :length]

  return batch._replace(
    src=part(batch.src, source),
    tgt=part(batch.tgt, target),
    src_ext=part(batch.src_ext, source),
    tgt_ext=part(batch.tgt_ext, target),
  )


def shape_of(batch: types.Batch, sizes: Sequence[tuple[int, int]]) -> Shape:
  """The smallest of `sizes` that holds all rows of a batch, all replicas'."""
  limits = jnp.array(sizes, jnp.int32)[:-1]
  fits = jnp.max(batch.tgt_len) <= limits[:, 1]
  if batch.src_len is not None:
    fits &= jnp.max(batch.src_len) <= limits[:, 0]
  return Shape(jnp.sum(~fits, dtype=jnp.int32), sizes)


def over_steps(
  train_step: TrainStep, sizes: Sequence[tuple[int, int]]
) -> TrainStep:
  """Several updates in one program, one after the other.

  Of a batch the steps are axis 1, after the rows; of metrics the first axis.
  All steps lie padded to the largest of `sizes`, the (source, target) lengths
  of buckets; each is computed at the smallest that holds it.
  """

  def many_steps(
    state: TrainState, batch: types.Batch, *, axis_name: str | None = None
  ) -> tuple[TrainState, dict[str, Array]]:
    def one(state: TrainState, batch: types.Batch) -> Any:
      shape = shape_of(batch, sizes) if len(sizes) > 1 else None
      return train_step(state, batch, axis_name=axis_name, shape=shape)

    batches = jax.tree.map(lambda x: x.swapaxes(0, 1), batch)
    return jax.lax.scan(one, state, batches)

  return many_steps
