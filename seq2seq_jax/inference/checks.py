"""Whether a model and its search can give what is asked for."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from seq2seq_jax import config, contracts, metrics, types


def check_search(
  conf: config.Config, run: str, present: bool, n_best: int, attention: bool
) -> None:
  """Checks that a model and its search can give these outputs.

  Args:
    conf: of the run, with the search to use.
    run: names the model in messages.
    present: it has sources.
    n_best: outputs of each source.
    attention: with attention weights.

  Raises:
    types.UserError: they cannot.
  """
  decode = conf.decode
  if not present:
    raise types.UserError(
      f"{run}: a language model has no source to decode from; score texts "
      "with it instead"
    )
  if attention and not conf.model.attends():
    raise types.UserError(f"attention: {run} has no attention")
  if attention and "attention" not in decode.parts():
    raise types.UserError(
      "attention: a search by CTC alone has none; lower decode.ctc_weight "
      "below 1, or leave attention out"
    )
  if decode.oracle_length:
    raise types.UserError(
      "decode.oracle_length: there are no references here; set it to False"
    )
  if not 1 <= n_best <= decode.beam_size:
    raise types.UserError(
      f"n_best: {n_best} is not between 1 and the beam size "
      f"({decode.beam_size})"
    )
  if decode.exact and (n_best > 1 or attention):
    raise types.UserError(
      "decode.exact finds one output, without attention: leave n_best and "
      "attention out"
    )


def check_fields(names: Iterable[str]) -> None:
  """Checks that the decode section has these fields.

  Raises:
    types.UserError: one is none of its fields.
  """
  known = {field.name for field in dataclasses.fields(config.Decode)}
  for name in names:
    if name not in known:
      raise types.UserError(
        f"{name}: the decode section has no such field; there are "
        f"{', '.join(sorted(known))}"
      )


def check_metrics(chosen: Iterable[metrics.Metric], module: Any) -> None:
  """Checks that a model has what these metrics compare.

  Args:
    chosen: the metrics.
    module: of the model.

  Raises:
    types.UserError: one needs outputs, and there are none.
  """
  for metric in chosen:
    if metric.needs == "ctc" and module.ctc_head is None:
      raise types.UserError(
        f"metric {metric.name}: needs a run that was trained with CTC "
        "(--optim.objectives likelihood=0.5 ctc=0.5)"
      )
    if metric.needs == "outputs" and module.encoder is None:
      raise types.UserError(
        f"metric {metric.name}: a language model has no outputs to compare; "
        "there are loss, perplexity and token_accuracy"
      )


def pairs(
  sources: Sequence[Any] | None, targets: Sequence[str], side: contracts.Side
) -> list[tuple[Any, str]]:
  """Sources as raw values with their targets, to be scored.

  Args:
    sources: as a program gives them; None of a language model.
    targets: as many texts.
    side: of the sources.

  Raises:
    types.UserError: sources and targets do not match, or nor does the model.
  """
  targets = as_list(targets)
  if side.present != (sources is not None):
    raise types.UserError(
      "score: a source is needed for every target"
      if side.present
      else "score: a language model has no sources; give targets=[...] alone"
    )
  raw = [None] * len(targets) if sources is None else accepted(sources, side)
  if len(raw) != len(targets):
    raise types.UserError(
      f"score: {len(raw)} sources but {len(targets)} targets"
    )
  return list(zip(raw, targets))


def accepted(sources: Sequence[Any], side: contracts.Side) -> list[Any]:
  """Sources that a program gives, as raw values.

  Raises:
    types.UserError: one is none that this side reads, or there is no list.
  """
  return [side.accept(value) for value in as_list(sources)]


def as_list(texts: Sequence[Any]) -> Sequence[Any]:
  """Refuses a single text: its characters would each be a source."""
  if isinstance(texts, str):
    raise types.UserError("a list of texts is needed: write [text] for one")
  return texts
