"""From a workdir to a model that is ready for search."""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from seq2seq_jax import config, contracts, records, types
from seq2seq_jax.checkpoints import identity, run_record, select
from seq2seq_jax.data import corpus, vocabulary
from seq2seq_jax.inference import translator
from seq2seq_jax.models import build
from seq2seq_jax.runtime import parallel

Run = str | os.PathLike[str]  # a workdir, or DIR#REPLICA


class Loaded(NamedTuple):
  """A run's model, ready for search."""

  config: config.Config
  vocabularies: vocabulary.Vocabularies
  model: Any
  """The Linen module."""
  params: Any
  """On the mapper's devices."""
  step: int
  """Of the checkpoint; the last one's if several are averaged."""


def load(
  workdir: pathlib.Path,
  checkpoint: str,
  mapper: parallel.Mapper,
  replica: int | None = None,
) -> Loaded:
  """Reads config, vocabularies and parameters of a workdir.

  Args:
    workdir: folder of a run.
    checkpoint: last, best, average, or a step.
    mapper: over the devices.
    replica: which of a run's `train.seeds`.

  Raises:
    types.UserError: there is no run, or no such checkpoint or replica.
  """
  conf = read_config(workdir)
  vocabularies = vocabulary.load(
    conf.data, workdir / "tokenizers", conf.model.copies()
  )
  model = build.build(
    conf.model,
    *vocabularies.sizes,
    ctc="ctc" in conf.optim.objective_weights(),
  )
  params, step = select.load(
    workdir, checkpoint, replica, identity.of(conf, vocabularies)
  )
  return Loaded(conf, vocabularies, model, mapper.replicate(params), step)


def load_all(
  runs: Sequence[str],
  checkpoint: str,
  mapper: parallel.Mapper,
  replica: int | None = None,
) -> list[Loaded]:
  """Reads the members of an ensemble, which must read and write alike.

  Args:
    runs: workdirs; `DIR#REPLICA` names one of several seeds.
    checkpoint: of each.
    mapper: over the devices.
    replica: of the workdirs that name none.

  Raises:
    types.UserError: one cannot be loaded, or cannot join the others.
  """
  members = []
  for run in runs:
    workdir, named = select.split_replica(run)
    chosen = replica if named is None else named
    members.append(load(workdir, checkpoint, mapper, chosen))
  for run, member in zip(runs, members):
    difference = member.vocabularies.difference(members[0].vocabularies)
    if difference:
      raise types.UserError(
        f"{run}: cannot join an ensemble with {runs[0]}: {difference}"
      )
  return members


def add_parts(
  searcher: translator.Translator,
  decode: config.Decode,
  members: Sequence[Loaded],
  runs: Sequence[str],
  mapper: parallel.Mapper,
) -> None:
  """Readies a translator for all that a search's score is the sum of.

  Args:
    searcher: of the members; it learns to know the language model.
    decode: the search.
    members: of an ensemble.
    runs: what they were loaded from.
    mapper: over the devices.

  Raises:
    types.UserError: a member has no CTC, or the language model cannot join.
  """
  if decode.ctc_weight:
    _check_ctc(members, runs)
  if decode.lm_weight and not searcher.knows_lm(decode.lm):
    target = members[0].vocabularies.target
    lm = _load_lm(decode.lm, target, runs[0], mapper)
    searcher.add_lm(decode.lm, lm.model, lm.params)


def _check_ctc(members: Sequence[Loaded], runs: Sequence[str]) -> None:
  """Checks that all members of an ensemble can search with CTC.

  Raises:
    types.UserError: one was trained without.
  """
  for run, member in zip(runs, members):
    if "ctc" not in member.config.optim.objective_weights():
      raise types.UserError(
        f"decode.ctc_weight: {run} was trained without CTC "
        "(optim.objectives names no ctc); set it to 0"
      )


def _load_lm(
  run: str, target: contracts.Side, joins: str, mapper: parallel.Mapper
) -> Loaded:
  """Reads the language model of `decode.lm`, at its best checkpoint.

  Args:
    run: its workdir, or DIR#REPLICA.
    target: side of the model that it joins, whose ids it must share.
    joins: run of that model.
    mapper: over the devices.

  Raises:
    types.UserError: it cannot be loaded, or cannot join that model.
  """
  try:
    (lm,) = load_all([run], "best", mapper)
  except types.UserError as e:
    raise types.UserError(f"decode.lm: {e}") from e
  if lm.vocabularies.source.present:
    raise types.UserError(
      f"decode.lm: {run} is no language model: its data.task is "
      f"{lm.config.data.task}, not language_model"
    )
  if lm.vocabularies.target.checksum() != target.checksum():
    raise types.UserError(
      f"decode.lm: the words of {run} are not the target's of {joins}; train "
      f"it with --data.vocabulary {joins}"
    )
  return lm


def run_names(runs: Run | Sequence[Run]) -> list[str]:
  """One or several workdirs as a list of texts."""
  if isinstance(runs, str | os.PathLike):
    runs = [runs]
  names = [os.fspath(run) for run in runs]
  if not names:
    raise types.UserError("there is no run to load: the list is empty")
  return names


def read_config(workdir: pathlib.Path) -> config.Config:
  """The config of a run.

  Raises:
    types.UserError: the folder holds no run, or config.json is damaged.
  """
  types.check_local("workdir", workdir)
  path = workdir / "config.json"
  if not os.path.lexists(path):
    raise types.UserError(
      f"{workdir}: holds no run (no config.json); train one with "
      f"python -m seq2seq_jax.train CONFIG --workdir {workdir}"
    )
  return config.from_json(records.content(path), str(path))


def files_read(
  runs: Sequence[str],
  configure: Callable[[config.Config], config.Config] | None = None,
) -> tuple[list[tuple[str, pathlib.Path]], list[pathlib.Path]]:
  """The data files, named in words, and the workdirs of runs.

  Both are for `files.check_outputs`: no output may replace them.

  Args:
    runs: workdirs; `DIR#REPLICA` names one of several seeds.
    configure: changes the first run's config as the command says.

  Raises:
    types.UserError: a folder holds no run.
  """
  workdirs = [select.split_replica(run)[0] for run in runs]
  configs = [read_config(workdir) for workdir in workdirs]
  if configure:
    configs.append(configure(configs[0]))
  named = [
    (f"data.{split} {name}", pathlib.Path(corpus.root(conf.data)) / name)
    for conf in configs
    for split in corpus.SPLITS
    for name in getattr(conf.data, split)
  ]
  return [(words, path) for words, path in named if path.is_file()], workdirs


def recorded_checksum(workdir: pathlib.Path, split: str) -> str | None:
  """Checksum of a split when the run was last trained; None if not known.

  Raises:
    types.UserError: run.json is damaged.
  """
  record = run_record.read(workdir)
  return record.data.get(split) if record else None
