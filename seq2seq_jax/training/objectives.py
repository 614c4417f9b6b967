"""What training minimises: a weighted sum of objectives.

An objective is a function `(outputs, memory, batch) -> {name: (sum, weight)}`.
Its sums enter the loss; a sum over its weight is the mean that is shown. The
gradient is of the weighted sum, divided once for the whole batch (see
`step.make_train_step`). A new objective is a function, a line in OBJECTIVES
and its name in `config.OBJECTIVES`. Weights are positive: a term that is to
grow, such as an entropy bonus, returns its negative sum.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from seq2seq_jax import config, contracts, types
from seq2seq_jax.models import dropout_masks, seq2seq

Array = Any
Terms = dict[str, tuple[Array, Array]]
# (params, batch, seed, step) -> the loss to differentiate, and terms to show.
LossFn = Callable[[Any, types.Batch, Array, Array], tuple[Array, Terms]]


def likelihood(
  outputs: types.Outputs, memory: types.Memory, batch: types.Batch
) -> Terms:
  """Negative log-likelihood of the targets, with label smoothing."""
  del memory
  return {"likelihood": (outputs.loss, token_count(batch))}


def coverage(
  outputs: types.Outputs, memory: types.Memory, batch: types.Batch
) -> Terms:
  """Attention paid again to a source position (See et al. 2017, eq. 12)."""
  del memory
  losses = coverage_losses(outputs.steps.attention)
  real = seq2seq.target_mask(batch).astype(jnp.float32)
  return {"coverage": (jnp.sum(losses * real), token_count(batch))}


def ctc(
  outputs: types.Outputs, memory: types.Memory, batch: types.Batch
) -> Terms:
  """Connectionist temporal classification on the encoder (Graves 2006).

  Needs the model's `ctc_head`, which `models.build` adds on request.
  """
  losses = ctc_losses(outputs.model.ctc_head(memory.values), memory.mask, batch)
  return {"ctc": (jnp.sum(losses), sentence_count(batch))}


OBJECTIVES: dict[str, contracts.Objective] = {
  "likelihood": likelihood,
  "coverage": coverage,
  "ctc": ctc,
}

SHOWN = {
  "loss",
  "nll",
  "tokens",
  "grad_norm",
  "learning_rate",
  "ctc_left_out",
}
"""What runs show beside the terms (`step.make_train_step`)."""


def token_count(batch: types.Batch) -> Array:
  """Number of real target tokens, EOS included. []."""
  return jnp.sum(batch.tgt_len).astype(jnp.float32)


def sentence_count(batch: types.Batch) -> Array:
  """Number of rows that are no filler. []."""
  return jnp.sum(batch.tgt_len > 0).astype(jnp.float32)


def coverage_losses(attention: Array) -> Array:
  """sum_i min(α_ti, sum of α_i before t) of attention α [B, T, S]. [B, T]."""
  before = jnp.cumsum(attention, axis=1) - attention
  return jnp.sum(jnp.minimum(attention, before), axis=-1)


def ctc_losses(logits: Array, mask: Array, batch: types.Batch) -> Array:
  """-log P of the targets under CTC, summed over all alignments. [B].

  The blank is pad's id; EOS is left out. A target that is longer than the
  memory has no alignment: such rows give 0 (`ctc_left_out`).

  Args:
    logits: [B, S', V] of each position of the memory.
    mask: [B, S'] True over its real positions.
    batch: with the targets.
  """
  padding = _ctc_padding(batch)
  loss = optax.ctc_loss(
    logits,
    1.0 - mask.astype(jnp.float32),
    batch.tgt,
    padding,
    blank_id=types.PAD,
  )
  return jnp.where(_has_alignment(mask, batch), loss, 0.0)


def ctc_left_out(mask: Array, batch: types.Batch) -> Array:
  """Number of targets that have no alignment under CTC. []."""
  lost = ~_has_alignment(mask, batch) & (batch.tgt_len > 0)
  return jnp.sum(lost).astype(jnp.float32)


def _ctc_padding(batch: types.Batch) -> Array:
  """1 where CTC sees no label: at EOS and after it. [B, T]."""
  steps = jnp.arange(batch.tgt.shape[1], dtype=jnp.int32)
  return (steps[None] >= batch.tgt_len[:, None] - 1).astype(jnp.float32)


def _has_alignment(mask: Array, batch: types.Batch) -> Array:
  """True for rows with a target that fits the memory. [B]."""
  # Two equal tokens in a row need a blank between them.
  same = batch.tgt[:, 1:] == batch.tgt[:, :-1]
  repeated = same & (_ctc_padding(batch)[:, 1:] == 0)
  needed = batch.tgt_len - 1 + jnp.sum(repeated, axis=1, dtype=jnp.int32)
  available = jnp.sum(mask, axis=1, dtype=jnp.int32)
  return (needed <= available) & (batch.tgt_len > 0)


def make_loss(model: seq2seq.Seq2Seq, optim: config.Optim) -> LossFn:
  """The loss of a config's objectives, with dropout, for the train step.

  Beside the objectives' terms, which are shown if there are several, the loss
  function returns `nll`, the likelihood without label smoothing, and of CTC the
  share of targets that have no alignment.
  """
  options = train_options(optim)
  chosen = resolve(optim)

  def evaluate(
    module: seq2seq.Seq2Seq,
    batch: types.Batch,
    keys: Array,
    batch_key: Array,
    step: Array,
  ) -> tuple[Array, Terms]:
    memory, outputs = module.forward(batch, keys, options, batch_key, step)
    terms: Terms = {}
    loss = None
    makers: dict[str, str] = {}
    for name, objective, weight in chosen:
      new_terms = objective(outputs, memory, batch)
      _check_terms(name, new_terms, makers)
      terms |= new_terms
      for value, _ in new_terms.values():
        part = value if weight == 1.0 else weight * value
        loss = part if loss is None else loss + part
    shown = terms if len(terms) > 1 else {}
    if any(objective is ctc for _, objective, _ in chosen):
      count = ctc_left_out(memory.mask, batch)
      shown = shown | {"ctc_left_out": (count, sentence_count(batch))}
    return loss, shown | {"nll": (jnp.sum(outputs.nll), token_count(batch))}

  def loss_fn(
    params: Any, batch: types.Batch, seed: Array, step: Array
  ) -> tuple[Array, Terms]:
    result: Any = model.apply(
      params,
      batch,
      dropout_masks.row_keys(seed, step, batch.row),
      dropout_masks.batch_key(seed, step),
      step,
      method=evaluate,
    )
    return result

  return loss_fn


def resolve(
  optim: config.Optim,
) -> list[tuple[str, contracts.Objective, float]]:
  """Name, function and weight of a config's objectives, the user's own too.

  Raises:
    types.UserError: one is no function.
  """
  found = []
  for name, weight in optim.objective_weights().items():
    function = OBJECTIVES.get(name) or config.extensions.resolve(name)
    if isinstance(function, type) or not callable(function):
      raise types.UserError(
        f"{name}: must be a function (outputs, memory, batch) -> "
        "{name: (sum, weight)}"
      )
    found.append((name, function, weight))
  return found


def _check_terms(name: str, terms: Any, makers: dict[str, str]) -> None:
  """Checks what an objective returned, and notes it as its terms' maker.

  Raises:
    types.UserError: that is no dict of pairs of scalars, or a term has the name
      of another's or of one of the numbers beside which it is shown.
  """
  if not isinstance(terms, dict) or not terms:
    raise types.UserError(
      f"{name}: must return {{name: (sum, weight)}}, not {type(terms).__name__}"
    )
  for term, pair in terms.items():
    ok = isinstance(pair, tuple) and len(pair) == 2
    if not (ok and all(jnp.shape(x) == () for x in pair)):
      raise types.UserError(
        f"{name}: its term {term!r} must be a pair of scalars, a sum and the "
        "weight to divide it by"
      )
    if term in SHOWN or makers.setdefault(term, name) != name:
      other = makers.get(term, "every run")
      raise types.UserError(
        f"{name}: returns a term {term!r}, a name that {other} uses already; "
        "give it another name"
      )


def train_options(optim: config.Optim) -> seq2seq.TrainOptions:
  """Label smoothing and scheduled sampling of a config."""
  return seq2seq.TrainOptions(
    smoothing=optim.label_smoothing,
    smoothing_kind=optim.smoothing,
    schedule=optim.sampling,
    granularity=optim.sampling_granularity,
    pick=optim.sampling_pick,
    rate=optim.sampling_rate,
    low=optim.sampling_low,
    k=optim.sampling_k,
    own_end=optim.sampling_own_end,
  )
