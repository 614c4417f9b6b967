"""The train step: plain, pure, and mapped over devices by somebody else."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seq2seq_jax import types


class TrainState(NamedTuple):
  """Everything on the devices that a run goes on from."""

  step: Any  # int32, updates made
  seed: Any  # uint32
  params: Any
  opt_state: Any
  ema: Any  # averaged parameters, or None
  lr_scale: Any  # float32, the plateau schedule's factor; 0: a stopped replica


def init_state(params, optimizer, seed: int, ema: bool) -> TrainState:
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
  losses,
  optimizer: optax.GradientTransformationExtraArgs,
  schedule,
  *,
  normalize: str = "tokens",
  accumulate: int = 1,
  ema_decay: float = 0.0,
):
  """Builds `train_step(state, batch, *, axis_name=None) -> state, metrics`.

  Gradients are of the sum over the real tokens and divided once, by the weight
  of the whole batch over all devices and parts. With `shape`, a `Shape`, the
  batch is cut to it before anything is computed.

  Args:
    losses: (params, batch, seed, step) -> dict of terms whose sums are over
      real tokens: `loss` (any shape), `nll` [B, T], and perhaps `ctc` [B].
    optimizer: as made by `optim.optimizer`.
    schedule: step -> learning rate.
    normalize: `tokens` or `sentences`.
    accumulate: parts of a device's rows computed one after the other.
    ema_decay: of the averaged parameters.
  """

  def summed(params, batch, state):
    terms = losses(params, batch, state.seed, state.step)
    total = sum(jnp.sum(terms[k]) for k in ("loss", "ctc") if k in terms)
    return total, {"loss": total, "nll": jnp.sum(terms["nll"])}

  gradient = jax.grad(summed, has_aux=True)

  def accumulated(params, batch, state):
    if accumulate == 1:
      return gradient(params, batch, state)
    split = lambda x: x.reshape(accumulate, -1, *x.shape[1:])

    def part(total, rows):
      grads = gradient(params, rows, state)
      return jax.tree.map(jnp.add, total, grads), None

    parts = jax.tree.map(split, batch)
    first = jax.tree.map(lambda x: x[0], parts)
    shapes = jax.eval_shape(gradient, params, first, state)
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return jax.lax.scan(part, zero, parts)[0]

  def train_step(
    state: TrainState, batch: types.Batch, *, axis_name=None, shape=None
  ):
    if shape is None:
      grads, sums = accumulated(state.params, batch, state)
    else:
      # Around the gradients alone: a state passed through would be copied.
      one = lambda size: (
        lambda b: accumulated(state.params, cut(b, size), state)
      )
      branches = [one(size) for size in shape.sizes]
      grads, sums = jax.lax.switch(shape.place, branches, batch)
    sums["tokens"] = jnp.sum(batch.tgt_len).astype(jnp.float32)
    sums["sentences"] = jnp.sum(batch.tgt_len > 0).astype(jnp.float32)
    if axis_name is not None:
      grads, sums = jax.lax.psum((grads, sums), axis_name)
    weight = sums[normalize]
    rate = schedule(state.step) * state.lr_scale
    updates, opt_state = optimizer.update(
      grads, state.opt_state, state.params, weight=weight
    )
    params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
    ema = state.ema
    if ema is not None:
      mix = lambda a, p: a * ema_decay + p * (1.0 - ema_decay)
      ema = jax.tree.map(mix, ema, params)
    metrics = {
      "loss": sums["loss"] / weight,
      "nll": sums["nll"] / sums["tokens"],
      "tokens": sums["tokens"],
      "grad_norm": optax.tree.norm(grads) / weight,
      "learning_rate": rate,
    }
    state = state._replace(
      step=state.step + 1, params=params, opt_state=opt_state, ema=ema
    )
    return state, metrics

  return train_step


def over_replicas(train_step):
  """The step of several runs in one program.

  State has a leading axis of replicas, metrics too; of a batch the replicas are
  axis 1, after the rows. A replica whose `lr_scale` is 0 has stopped and stays
  as it is.
  """

  def replicas_step(state: TrainState, batch, *, axis_name=None, shape=None):
    one = lambda s, b: train_step(s, b, axis_name=axis_name, shape=shape)
    new, metrics = jax.vmap(one, in_axes=(0, 1))(state, batch)

    def keep(old, new):
      running = state.lr_scale.reshape(-1, *(1,) * (new.ndim - 1)) > 0
      return jnp.where(running, new, old)

    return jax.tree.map(keep, state, new), metrics

  return replicas_step


class Shape(NamedTuple):
  """Which of a few lengths a batch is cut to."""

  place: Any  # int32, among `sizes`
  sizes: Any  # (source, target) lengths, ascending


def cut(batch: types.Batch, size) -> types.Batch:
  """A batch without the padding beyond (source, target) lengths."""
  source, target = size
  part = lambda ids, n: None if ids is None else ids[:, :n]
  return batch._replace(
    src=part(batch.src, source),
    tgt=part(batch.tgt, target),
    src_ext=part(batch.src_ext, source),
    tgt_ext=part(batch.tgt_ext, target),
  )


def shape_of(batch: types.Batch, sizes) -> Shape:
  """The smallest of `sizes` that holds all rows of a batch, all replicas'."""
  limits = jnp.array(sizes, jnp.int32)[:-1]
  fits = jnp.max(batch.tgt_len) <= limits[:, 1]
  if batch.src_len is not None:
    fits &= jnp.max(batch.src_len) <= limits[:, 0]
  return Shape(jnp.sum(~fits, dtype=jnp.int32), sizes)


def over_steps(train_step, sizes):
  """Several updates in one program, one after the other.

  Of a batch the steps are axis 1, behind the rows; of metrics the first axis.
  All steps lie padded to the largest of `sizes`, the (source, target) lengths
  of buckets; each is computed at the smallest that holds it.
  """

  def many_steps(state: TrainState, batch, *, axis_name=None):
    def one(state, batch):
      shape = shape_of(batch, sizes) if len(sizes) > 1 else None
      return train_step(state, batch, axis_name=axis_name, shape=shape)

    batches = jax.tree.map(lambda x: x.swapaxes(0, 1), batch)
    return jax.lax.scan(one, state, batches)

  return many_steps
