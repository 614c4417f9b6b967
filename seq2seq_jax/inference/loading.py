"""From a workdir to a model that is ready for search."""

import pathlib
from typing import NamedTuple

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.data import vocabulary
from seq2seq_jax.models import build


class Loaded(NamedTuple):
  """A workdir's model, ready for search."""

  config: config.Config
  vocabularies: vocabulary.Vocabularies
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
  vocabularies = vocabulary.load(
    conf.data, workdir / "tokenizers", conf.model.copies()
  )
  model = build.build(
    conf.model,
    *vocabularies.sizes,
    ctc=conf.optim.ctc_weight > 0,
  )
  params, step = select.load(workdir, which, replica)
  return Loaded(conf, vocabularies, model, mapper.replicate(params), step)


def load_all(workdirs, which: str, mapper, replica=None) -> list[Loaded]:
  """Reads the members of an ensemble, which must read and write alike.

  `DIR#REPLICA` names one of several seeds; `replica` holds for the other
  workdirs.
  """
  members = []
  for w in workdirs:
    place, own = select.split_replica(str(w))
    own = replica if own is None else own
    members.append(load(place, which, mapper, own))
  for w, m in zip(workdirs, members):
    difference = m.vocabularies.difference(members[0].vocabularies)
    if difference:
      raise types.UserError(
        f"{w}: cannot join an ensemble with {workdirs[0]}: {difference}"
      )
  return members
