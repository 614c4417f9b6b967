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
  lr_scale: Any  # float32, the plateau schedule's factor


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
  optimizer: optax.GradientTransformation,
  schedule,
  *,
  normalize: str = "tokens",
  accumulate: int = 1,
  ema_decay: float = 0.0,
):
  """Builds `train_step(state, batch, *, axis_name=None) -> state, metrics`.

  Gradients are of the sum over the real tokens and divided once, by the weight
  of the whole batch over all devices and parts.

  Args:
    losses: (params, batch, seed, step) -> dict of per-token terms [B, T], 0
      over padding, `loss` and `nll` among them, and perhaps `ctc` [B].
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

  def train_step(state: TrainState, batch: types.Batch, *, axis_name=None):
    grads, sums = accumulated(state.params, batch, state)
    sums["tokens"] = jnp.sum(batch.tgt_len).astype(jnp.float32)
    sums["sentences"] = jnp.sum(batch.tgt_len > 0).astype(jnp.float32)
    if axis_name is not None:
      grads, sums = jax.lax.psum((grads, sums), axis_name)
    weight = sums[normalize]
    grads = jax.tree.map(lambda g: g / weight, grads)
    rate = schedule(state.step) * state.lr_scale
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
    ema = state.ema
    if ema is not None:
      mix = lambda a, p: a * ema_decay + p * (1.0 - ema_decay)
      ema = jax.tree.map(mix, ema, params)
    metrics = {
      "loss": sums["loss"] / weight,
      "nll": sums["nll"] / sums["tokens"],
      "tokens": sums["tokens"],
      "grad_norm": optax.tree.norm(grads),
      "learning_rate": rate,
    }
    state = state._replace(
      step=state.step + 1, params=params, opt_state=opt_state, ema=ema
    )
    return state, metrics

  return train_step
