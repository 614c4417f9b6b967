"""Whether a model and its search can give what is asked for."""

from seq2seq_jax import config, types


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
