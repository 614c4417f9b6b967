"""What a run starts from: its model, parameters and state before any update."""

from typing import Any

import jax
import numpy as np
import optax

from seq2seq_jax import config, types
from seq2seq_jax.data import vocabulary
from seq2seq_jax.models import build, seq2seq
from seq2seq_jax.training import step


def build_model(
  conf: config.Config, vocabularies: vocabulary.Vocabularies
) -> seq2seq.Seq2Seq:
  """The config's model over these vocabularies."""
  source, target = vocabularies.sizes
  ctc = "ctc" in conf.optim.objective_weights()
  return build.build(conf.model, source, target, ctc=ctc)


def initial_params(
  model: seq2seq.Seq2Seq, seed: int, example: types.Batch
) -> Any:
  """Freshly initialised parameters."""

  def init(rng: Any, batch: types.Batch) -> Any:
    return model.init(rng, batch, method="initialize")

  return jax.jit(init)(jax.random.key(seed), example)


def check_finite(params: Any, field: str) -> None:
  """Refuses parameters to begin with that are not numbers.

  Raises:
    types.UserError: it names the parameter and the field that it is from.
  """
  for path, value in jax.tree_util.tree_flatten_with_path(params)[0]:
    if not np.isfinite(np.asarray(value, np.float32)).all():
      name = jax.tree_util.keystr(path, simple=True, separator="/")
      raise types.UserError(
        f"{field}: {name} holds values that are not finite before any update"
      )


def fresh_state(
  conf: config.Config,
  model: seq2seq.Seq2Seq,
  optimizer: optax.GradientTransformationExtraArgs,
  params: Any,
  example: types.Batch,
  merged: Any = None,
) -> step.TrainState:
  """The state before the first update, replicas on a leading axis.

  Args:
    conf: of the run.
    model: its module.
    optimizer: of its parameters.
    params: initialised for the first replica.
    example: a batch to initialise the others with.
    merged: parameters that all replicas start from instead.
  """
  ema, states = conf.optim.ema_decay > 0, []
  for replica in range(conf.train.seeds):
    seed = conf.train.seed + replica
    if replica:
      params = initial_params(model, seed, example)
    start = params if merged is None else merged
    check_finite(start, "model.init" if merged is None else "train.init_from")
    states.append(step.init_state(start, optimizer, seed, ema))
  if conf.train.seeds == 1:
    return states[0]
  return jax.tree.map(lambda *xs: np.stack(jax.device_get(xs)), *states)
