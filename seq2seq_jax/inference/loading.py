"""From a workdir to a model that is ready for search."""

import pathlib
from typing import NamedTuple

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.data import pipeline
from seq2seq_jax.models import build


class Loaded(NamedTuple):
  """A workdir's model, ready for search."""

  config: config.Config
  toks: pipeline.Tokenizers
  model: object
  params: object
  step: int


def load(workdir: pathlib.Path, which: str, mapper, replica=None) -> Loaded:
  """Reads config, vocabularies and parameters of a workdir."""
  path = workdir / "config.json"
  if not path.is_file():
    raise types.UserError(
      f"{workdir}: holds no run (no config.json); train one with "
      f"python -m seq2seq_jax.train CONFIG --workdir {workdir}"
    )
  conf = config.from_json(path.read_text(), str(path))
  toks = pipeline.load_tokenizers(conf.data, workdir / "tokenizers")
  source_size = toks.source.vocab_size if toks.source else None
  model = build.build(
    conf.model,
    source_size,
    toks.target.vocab_size,
    ctc=conf.optim.ctc_weight > 0,
  )
  params, step = select.load(workdir, which, replica)
  return Loaded(conf, toks, model, mapper.replicate(params), step)


def load_all(workdirs, which: str, mapper, replica=None) -> list[Loaded]:
  """Reads the members of an ensemble, which must read and write alike.

  `DIR#REPLICA` names one of several seeds; `replica` holds for the other
  workdirs.
  """
  members = []
  for w in workdirs:
    place, own = select.place_of(str(w))
    own = replica if own is None else own
    members.append(load(place, which, mapper, own))
  for w, m in zip(workdirs, members):
    if m.toks.checksum() != members[0].toks.checksum():
      raise types.UserError(
        f"{w}: other vocabularies than {workdirs[0]}; an ensemble needs the "
        "same ones"
      )
    if m.toks.reverse_source != members[0].toks.reverse_source:
      raise types.UserError(
        f"{w}: data.reverse_source is not that of {workdirs[0]}; an ensemble "
        "reads its source in one order"
      )
    if m.config.model.copies() != members[0].config.model.copies():
      raise types.UserError(
        f"{w}: one of this model and that of {workdirs[0]} copies words and "
        "the other does not; an ensemble needs outputs alike"
      )
  return members
