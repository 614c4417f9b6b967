"""The compiled programs of a search: of the encoder, and of the search itself.

The score of a step is a sum of parts (`config.Decode.part_weights`): what the
decoders say, what CTC says of their encoders' positions, and what a language
model says. Each part is a step function with a memory and a carry of its own.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import config, contracts, types
from seq2seq_jax.decoding import (
  beam,
  best_path,
  combine,
  ctc,
  exact,
  stepfn,
)

Params = tuple[Any, ...]
"""A tree of each member, and behind them that of the language model if there is
one."""


class SourceRows(NamedTuple):
  """Encoded sources as rows of an encoder program, and their output limits."""

  src: Int[types.Array, "B S"] | Float[types.Array, "B S F"] | None
  src_len: Int[types.Array, " B"] | None
  min_len: Int[types.Array, " B"]
  max_len: Int[types.Array, " B"]
  src_ext: Int[types.Array, "B S"] | None = None
  """Ids in the extended vocabulary; None unless the model copies."""


class _Part(NamedTuple):
  """A part of the score of a step."""

  step_fn: contracts.StepFn
  memory: Any
  carry: Any


def make_encode(models: Sequence[Any]) -> Callable[..., stepfn.Sources]:
  """Builds `encode(params, rows) -> stepfn.Sources`, without carries.

  Args:
    models: modules, one a member of an ensemble; `params` is a tuple of as
      many trees.
  """

  def encode(params: Params, rows: SourceRows) -> stepfn.Sources:
    memories = tuple(
      model.apply(
        p, rows.src, rows.src_len, source=rows.src_ext, method="encode"
      )
      for model, p in zip(models, params)
    )
    # An ensemble attends as its first member does.
    mask = memories[0].mask
    return stepfn.Sources(memories, (), rows.min_len, rows.max_len, mask)

  return encode


def make_search(
  models: Sequence[Any],
  decode: config.Decode,
  max_steps: int,
  *,
  rows: int,
  n_best: int,
  attention: bool,
  lm: Any = None,
) -> Callable[..., types.Hypotheses]:
  """Builds `search(params, parts, total) -> Hypotheses` for one bucket.

  `parts` is a tuple of `stepfn.Sources`, `total` the number of sources in them.

  Args:
    models: modules, one a member of an ensemble.
    decode: the search.
    max_steps: longest output of the bucket.
    rows: searched at a time.
    n_best: hypotheses returned of each source.
    attention: return attention weights.
    lm: module of the language model, if `decode` gives it a weight.
  """
  common: dict[str, Any] = {
    "eos": types.EOS,
    "max_steps": max_steps,
    "rule": decode.length_rule,
    "alpha": decode.alpha,
  }

  def search(
    params: Params, parts: tuple[stepfn.Sources, ...], total: Any
  ) -> types.Hypotheses:
    sources = parts[0]
    if len(parts) > 1:
      sources = jax.tree.map(lambda *xs: jnp.concatenate(xs), *parts)
    if _takes_best_path(decode, models):
      logits, mask = _ctc_logits(models[0], params[0], sources.memory[0])
      path = ctc.best_path(logits, mask, _never(decode))
      memory = ctc.prepare(logits, mask)
      return best_path.search(memory, path, sources, **common)
    embeddings = rows * decode.beam_size * max_steps
    own = _parts(
      models, params, lm, decode, sources.memory, max_steps, embeddings
    )
    step_fn, sources = _joined(own, decode.part_weights(), sources)
    hypotheses = beam.search(
      step_fn,
      sources,
      bos=types.BOS,
      beam_size=decode.beam_size,
      n_best=n_best,
      coverage=decode.coverage,
      patience=decode.patience,
      with_attention=attention,
      rows=rows,
      total=total,
      **common,
    )
    if not decode.exact:
      return hypotheses
    return exact.improve(
      step_fn,
      sources,
      hypotheses,
      bos=types.BOS,
      limit=decode.exact,
      **common,
    )

  return search


def _takes_best_path(decode: config.Decode, models: Sequence[Any]) -> bool:
  """Greedy search of CTC alone, where nothing else has a say.

  The positions of several encoders need not mean the same, so an ensemble has
  no path.
  """
  return (
    decode.parts() == ("ctc",)
    and decode.beam_size == 1
    and len(models) == 1
    and not (decode.min_length or decode.min_ratio or decode.oracle_length)
  )


def _never(decode: config.Decode) -> tuple[int, ...]:
  """Ids that are no label of the best path."""
  unknown = (types.UNK,) if decode.forbid_unknown else ()
  return (types.BOS, types.EOS, *unknown)


def _joined(
  parts: Sequence[_Part], weights: dict[str, float], sources: stepfn.Sources
) -> tuple[contracts.StepFn, stepfn.Sources]:
  """One step function of all parts, and the sources with its memory."""
  if len(parts) == 1:
    (only,) = parts
    sources = sources._replace(memory=only.memory, carry=only.carry)
    return only.step_fn, sources
  step_fn = combine.combine(
    [part.step_fn for part in parts], [w for w in weights.values() if w]
  )
  return step_fn, sources._replace(
    memory=tuple(part.memory for part in parts),
    carry=tuple(part.carry for part in parts),
  )


def _parts(
  models: Sequence[Any],
  params: Params,
  lm: Any,
  decode: config.Decode,
  memories: tuple[types.Memory, ...],
  max_steps: int,
  embeddings: int,
) -> list[_Part]:
  """What a step's score is made of, in the order of `decode.parts()`.

  The members of an ensemble count as the mean of their probabilities, in each
  part. In CTC these are of the next label given a prefix, and not of labels at
  a position: the members may shorten the source differently, and even where
  they do not, they place the same label at different positions.

  Args:
    models: modules, one a member of an ensemble.
    params: of these, and of the language model.
    lm: its module, or None.
    decode: the search.
    memories: of the members.
    max_steps: longest output of the program.
    embeddings: tokens that the search will embed.
  """
  own = params[: len(models)]
  parts = []
  if "attention" in decode.parts():
    parts.append(_decoders(models, own, memories, max_steps, embeddings))
  if "ctc" in decode.parts():
    parts.append(_ctc(models, own, memories))
  if "lm" in decode.parts():
    rows = jnp.shape(memories[0].mask)[0]
    parts.append(_language_model(lm, params[-1], rows, max_steps, embeddings))
  if decode.forbid_unknown:
    step_fn = combine.forbid(parts[0].step_fn, types.UNK)
    parts[0] = parts[0]._replace(step_fn=step_fn)
  return parts


def _decoders(
  models: Sequence[Any],
  params: Params,
  memories: tuple[types.Memory, ...],
  max_steps: int,
  embeddings: int,
) -> _Part:
  """What the decoders say."""
  carries = tuple(
    model.apply(p, memory, max_steps, method="start")
    for model, p, memory in zip(models, params, memories)
  )
  step_fn = combine.ensemble(
    [_step_of(model, p, embeddings) for model, p in zip(models, params)]
  )
  return _Part(step_fn, memories, carries)


def _ctc(
  models: Sequence[Any], params: Params, memories: tuple[types.Memory, ...]
) -> _Part:
  """What CTC says of the encoders' positions."""
  prepared = tuple(
    ctc.prepare(*_ctc_logits(model, p, memory))
    for model, p, memory in zip(models, params, memories)
  )
  # A loop over positions is one kernel of a CPU, and many of other devices.
  step = functools.partial(ctc.step, associative=jax.default_backend() != "cpu")
  step_fn = combine.ensemble([step] * len(models))
  carries = tuple(ctc.start(memory) for memory in prepared)
  return _Part(step_fn, prepared, carries)


def _language_model(
  lm: Any, params: Any, rows: int, max_steps: int, embeddings: int
) -> _Part:
  """What a language model says; its memory holds nothing."""
  lengths = jnp.ones((rows,), jnp.int32)
  memory = lm.apply(params, None, lengths, method="encode")
  carry = lm.apply(params, memory, max_steps, method="start")
  return _Part(_step_of(lm, params, embeddings), memory, carry)


def _ctc_logits(
  model: Any, params: Any, memory: types.Memory
) -> tuple[Float[jax.Array, "B M V"], types.Array]:
  """Logits of the labels of each position, and which positions are real."""
  return model.apply(params, memory, method="ctc_logits"), memory.mask


def _step_of(model: Any, params: Any, embeddings: int) -> contracts.StepFn:
  """The step of one model, its input products looked up if that is cheaper.

  Args:
    model: a module.
    params: its parameters.
    embeddings: tokens that the search will embed; the table of all V input
      products is computed if there are no more.
  """
  table_of = functools.partial(model.apply, method="input_table")
  table = jax.eval_shape(table_of, params)
  if table is not None:
    table = table_of(params) if table.shape[0] <= embeddings else None

  def step(memory: Any, carry: Any, tokens: jax.Array) -> Any:
    return model.apply(params, memory, carry, tokens, table, method="step")

  return step
