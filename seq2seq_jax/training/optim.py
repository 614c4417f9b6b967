"""The optimizer and the learning rate of a config's optim section."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from seq2seq_jax import config, types

Array = Any
# Rules whose weight decay is not part of the gradient.
DECOUPLED = ("adamw", "lion", "adafactor")


def rule(optim: config.Optim) -> optax.GradientTransformation:
  """The update rule, without clipping, decay and learning rate."""
  o = optim
  rules: dict[str, Callable[[], optax.GradientTransformation]] = {
    "sgd": optax.identity,
    "momentum": lambda: optax.trace(o.b1),
    "adam": lambda: optax.scale_by_adam(o.b1, o.b2, o.eps),
    "adamw": lambda: optax.scale_by_adam(o.b1, o.b2, o.eps),
    "adagrad": lambda: optax.scale_by_rss(0.0, o.eps),
    "adadelta": lambda: optax.scale_by_adadelta(o.b2, o.eps),
    "rmsprop": lambda: optax.scale_by_rms(o.b2, o.eps),
    "adafactor": lambda: optax.chain(
      optax.scale_by_factored_rms(),
      optax.clip_by_block_rms(1.0),
      optax.scale_by_param_block_rms(),
    ),
    "lion": lambda: optax.scale_by_lion(o.b1, o.b2),
  }
  return rules[o.optimizer]()


def optimizer(optim: config.Optim) -> optax.GradientTransformationExtraArgs:
  """Clipping, decay, update rule and factors by path, but no learning rate.

  `update` takes the gradients of the summed loss and the `weight` that divides
  them. The train step multiplies the result by minus the learning rate: the
  schedule's value times the plateau's factor, which is part of the state.
  """
  parts: list[optax.GradientTransformation] = [
    _by_path(lambda path: _factor(optim, path) != 0.0),
    _divided(optim.clip_norm),
  ]
  decay = optax.add_decayed_weights(optim.weight_decay, _matrices)
  if optim.weight_decay and optim.optimizer not in DECOUPLED:
    parts.append(decay)
  parts.append(rule(optim))
  if optim.weight_decay and optim.optimizer in DECOUPLED:
    parts.append(decay)
  parts.append(_by_path(lambda path: _factor(optim, path)))
  return _standard_promotion(optax.chain(*parts))


def _divided(clip_norm: float) -> optax.GradientTransformationExtraArgs:
  """Divides by the weight and clips the global norm, by one factor.

  As two steps, each would pass over all gradients.
  """

  def update(
    updates: Any, state: Any, params: Any = None, *, weight: Array
  ) -> tuple[Any, Any]:
    del params
    factor = 1.0 / weight
    if clip_norm:
      norm = optax.tree.norm(updates) / weight
      factor = factor * jnp.minimum(1.0, clip_norm / norm)
    return jax.tree.map(lambda u: u * factor, updates), state

  return optax.GradientTransformationExtraArgs(
    lambda _: optax.EmptyState(), update
  )


def _standard_promotion(
  inner: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
  """Runs an optimizer where dtypes promote: none of Optax passes strictly."""

  def init(params: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
      return inner.init(params)

  def update(
    updates: Any, state: Any, params: Any = None, **extra: Any
  ) -> tuple[Any, Any]:
    with jax.numpy_dtype_promotion("standard"):
      return inner.update(updates, state, params, **extra)

  return optax.GradientTransformationExtraArgs(init, update)


def _matrices(params: Any) -> Any:
  """True for parameters that decay: biases and scales are left out."""
  return jax.tree.map(lambda p: p.ndim > 1, params)


def path_name(path: tuple[Any, ...]) -> str:
  """Name of a key path, as `decoder/layer_0/kernel`."""
  return "/".join(str(getattr(k, "key", k)) for k in path)


def _factor(optim: config.Optim, path: str) -> float:
  """Factor of a parameter's learning rate; 0 if it is frozen."""
  if any(re.search(p, path) for p in optim.freeze):
    return 0.0
  factor = 1.0
  for rate in optim.rates:
    pattern, _, value = rate.rpartition("=")
    if re.search(pattern, path):
      factor = float(value)
  return factor


def _by_path(factor: Callable[[str], Any]) -> optax.GradientTransformation:
  """Scales every leaf by a constant that its path decides."""

  def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    del params

    def scale(path: tuple[Any, ...], update: Array) -> Array:
      return _scaled(update, float(factor(path_name(path))))

    return jax.tree.map_with_path(scale, updates), state

  return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def _scaled(update: Array, factor: float) -> Array:
  if factor == 1.0:
    return update
  return update * factor if factor else jnp.zeros_like(update)


def check_paths(optim: config.Optim, params: Any) -> None:
  """Checks that each pattern of `optim.freeze` and `rates` matches a parameter.

  Raises:
    types.UserError: one matches none, or is no regular expression.
  """
  names = [path_name(p) for p, _ in jax.tree_util.tree_leaves_with_path(params)]
  patterns = [(f"optim.freeze {p!r}", p) for p in optim.freeze]
  patterns += [
    (f"optim.rates {r!r}", r.rpartition("=")[0]) for r in optim.rates
  ]
  for field, pattern in patterns:
    try:
      matches = any(re.search(pattern, n) for n in names)
    except re.error as e:
      raise types.UserError(f"{field}: not a regular expression: {e}") from e
    if not matches:
      raise types.UserError(
        f"{field} matches no parameter; there are: {', '.join(names)}"
      )


def schedule(optim: config.Optim, steps: int) -> Callable[[Array], Array]:
  """Learning rate as a function of the step, counted from 0.

  halving: Luong et al. 2015 and Sutskever et al. 2014 (after 5 epochs, every
  epoch or half epoch); inverse_sqrt: fairseq's; cosine ends at `steps`.
  """
  o = optim

  def rate(step: Array) -> Array:
    with jax.numpy_dtype_promotion("standard"):
      t = jnp.asarray(step, jnp.float32) + 1.0
      warmup = jnp.minimum(1.0, t / max(1, o.warmup_steps))
      return (o.learning_rate * warmup * _decay(o, t, steps)).astype(
        jnp.float32
      )

  return rate


def _decay(o: config.Optim, t: Array, steps: int) -> Array | float:
  """Factor of the learning rate after the warm-up, at the t-th update."""
  if o.schedule == "halving":
    times = jnp.floor((t - 1.0 - o.decay_start) / o.decay_every) + 1.0
    return o.decay_factor ** jnp.maximum(times, 0.0)
  if o.schedule == "inverse_sqrt":
    return jnp.sqrt(o.warmup_steps / jnp.maximum(t, o.warmup_steps))
  if o.schedule == "cosine":
    span = max(1, steps - o.warmup_steps)
    done = jnp.clip((t - o.warmup_steps) / span, 0.0, 1.0)
    low = o.min_learning_rate / o.learning_rate
    return low + (1.0 - low) * 0.5 * (1.0 + jnp.cos(jnp.pi * done))
  return 1.0
