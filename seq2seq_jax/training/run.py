"""A training run: its data, model, optimizer, state and decisions."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from seq2seq_jax import config, metrics, records, types
from seq2seq_jax.checkpoints import identity, store
from seq2seq_jax.data import batches, lengths, vocabulary
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.inference import evaluator
from seq2seq_jax.runtime import files, parallel, processes
from seq2seq_jax.training import (
  model_selection,
  objectives,
  optim,
  run_info,
  size_estimate,
  start,
  step,
  warm_parts,
)
from seq2seq_jax.training import workdir as workdir_lib

LENGTHS_FILE = "lengths.npz"


class Run:
  """A training run, ready to go on from its last checkpoint or from the start.

  It holds state and answers questions about it; `loop` and `transitions` change
  it.

  Attributes:
    config, workdir: of the run.
    replicas: runs trained together in one program (`train.seeds`).
    corpus, vocabularies, data: the splits, both sides, the training batches.
    model: the Linen module.
    evaluator: of the validation set; None if there is none.
    mapper, local_mapper: over all devices, and over this process's.
    train_step: (state, batch) -> (state, metrics), mapped over the devices.
    state: `step.TrainState`, replicated; replicas on a leading axis.
    selection: `model_selection.ModelSelection` of each replica.
    first_step: the step it was resumed after, or 0.
    identity: what its checkpoints belong to.
    unvalidated: a signal broke off the validation after the last step.
    begun: a step was made, and the workdir is written.
    saved: it has a checkpoint.
    step: updates made.
    interrupted: number of the signal that stopped it before its end, or None.
  """

  state: step.TrainState

  def __init__(
    self,
    conf: config.Config,
    workdir: str | os.PathLike[str],
    corpus: corpus_lib.Corpus | None = None,
    *,
    restart: bool = False,
  ):
    """Loads data, builds the model and restores the last good checkpoint.

    Nothing is written before `begin`.

    Args:
      conf: of the run.
      workdir: its folder.
      corpus: the splits; by default those that the config names.
      restart: begin anew, whatever the workdir holds.

    Raises:
      types.UserError: the workdir holds another run, or the config asks for
        something that its data cannot give.
    """
    self.config, self.workdir = conf, pathlib.Path(workdir)
    self.replicas = conf.train.seeds
    self.primary = processes.is_first()
    self.interrupted: int | None = None
    processes.check_same("config", config.to_json(conf))
    self.corpus = corpus or corpus_lib.Corpus(conf.data)
    _check_validation(conf, self.corpus)
    self._checksums = self.corpus.checksums()
    self._restart = restart
    self.begun = False
    self._resumed = not restart and run_info.check_workdir(
      self.workdir, conf, self._checksums
    )
    # No process writes before all have read.
    processes.check_same("data", (self._checksums, self._resumed))
    self.mapper = parallel.Mapper(conf.train.mapper)
    self.local_mapper = _local_mapper(self.mapper)
    self.vocabularies = _vocabularies(
      conf, self.corpus, self.workdir, self._resumed
    )
    processes.check_same("vocabulary", self.vocabularies.checksum())
    size_estimate.check(conf, self.vocabularies.sizes)
    self.saved = self._resumed
    self._lengths: bytes | None = None
    self.data = self._train_data()
    self.model = start.build_model(conf, self.vocabularies)
    self.evaluator = self._evaluator()
    if self.evaluator:
      self.evaluator.check_decides()
    self.optimizer = optim.optimizer(conf.optim)
    self.train_step = self._train_step()
    if self._resumed:
      run_info.log_changes(self.workdir, run_info.machine())
    self.checkpoints = store.Checkpoints(self.workdir, anew=not self._resumed)
    self._start()

  @property
  def deciding_metric(self) -> metrics.Metric:
    """The metric of `train.metric`, which chooses the best checkpoint."""
    return evaluator.find_metric(self.config.train.metric)

  def __repr__(self) -> str:
    """Workdir, progress and best score: `Run('runs/x', step 300 of 300, …)`."""
    parts = [
      repr(str(self.workdir)),
      f"step {self.step:,} of {self.last_step:,}",
    ]
    if self.replicas > 1:
      parts.append(f"{self.replicas} replicas")
    for replica, selection in enumerate(self.selection):
      name = self.metric_name(self.deciding_metric.name, replica)
      if selection.diverged is not None:
        parts.append(f"diverged at step {selection.diverged:,}")
      elif selection.best_score is not None:
        parts.append(
          f"best {name} {selection.best_score:.4f} at step "
          f"{selection.best_step:,}"
        )
    return f"Run({', '.join(parts)})"

  @property
  def last_step(self) -> int:
    """Step at which the run is complete."""
    return self.config.train.steps

  @property
  def complete(self) -> bool:
    """True if no step is left, or all replicas have stopped."""
    if self.unvalidated:
      return False
    return self.step >= self.last_step or not self.running()

  def running(self) -> list[int]:
    """Replicas that have neither diverged nor stopped early."""
    return [i for i, s in enumerate(self.selection) if not s.stopped]

  def learning_rate_scales(self) -> np.ndarray:
    """Factors of the learning rate, a copy. [replicas]."""
    return np.array(self.state.lr_scale.addressable_data(0)).reshape(-1)

  def scale_learning_rates(self, factors: Sequence[float] | np.ndarray) -> None:
    """Sets the replicas' factors of the learning rate."""
    shape = self.state.lr_scale.shape
    scales = np.asarray(factors, np.float32).reshape(shape)
    self.state = self.state._replace(lr_scale=self.mapper.replicate(scales))

  def metric_name(self, name: str, replica: int) -> str:
    """A replica's name of a metric: `loss`, or `loss/replica_1` of several."""
    return name if self.replicas == 1 else f"{name}/replica_{replica}"

  def begin(self) -> None:
    """Writes the workdir's files; an older run's are moved aside.

    It is called after the first step: what cannot be trained leaves nothing.

    Raises:
      types.UserError: a file cannot be written, or stands in place of one.
    """
    self.begun = True
    if self.primary:
      if not self._restart:
        files.check_regular(self.workdir / LENGTHS_FILE)
      try:
        if self._restart:
          workdir_lib.move_aside(self.workdir)
        # The config first: it tells that the folder holds a run.
        run_info.write(
          self.workdir,
          self.config,
          run_info.machine(),
          self._checksums,
          self.data.left_out,
        )
        if not self._resumed:
          self._write_vocabularies()
        if self._lengths is not None:
          files.replace(self.workdir / LENGTHS_FILE, self._lengths)
      except OSError as e:
        raise types.UserError(
          f"{e.filename or self.workdir}: cannot write: {e.strerror}"
        ) from e
    processes.barrier()

  def _write_vocabularies(self) -> None:
    folder = self.workdir / "tokenizers"
    folder.mkdir(exist_ok=True)
    for name, content in self.vocabularies.files().items():
      path = folder / name
      if os.path.lexists(path) and records.content(path) != content:
        raise types.UserError(
          f"{path}: is not this run's, and there is no checkpoint to resume; "
          "move it elsewhere, or begin anew with --restart"
        )
      files.replace(path, content, durable=True)

  def params(self, replica: int = 0) -> Any:
    """Parameters to validate and decode with, on this process's devices.

    They are the exponential average if the run keeps one (`optim.ema_decay`).
    """
    params = self.state.ema if self.state.ema is not None else self.state.params
    if self.local_mapper is self.mapper and self.replicas == 1:
      return params
    host = jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), params)
    if self.replicas > 1:
      host = jax.tree.map(lambda x: x[replica], host)
    return self.local_mapper.replicate(host)

  def _train_data(self) -> batches.TrainData | batches.Replicas:
    """The batches of training, of all replicas."""
    conf = self.config

    def keep(_: pathlib.Path, content: bytes) -> None:
      self._lengths = content

    cache = self.workdir / LENGTHS_FILE if self.primary else None
    measured = lengths.measure(self.corpus, self.vocabularies, cache, keep)
    replicas = [
      batches.TrainData(
        conf.data,
        self.corpus,
        self.vocabularies,
        conf.train.seed + replica,
        measured,
        self.mapper.count * conf.optim.accumulate,
      )
      for replica in range(conf.train.seeds)
    ]
    return replicas[0] if len(replicas) == 1 else batches.Replicas(replicas)

  def _evaluator(self) -> evaluator.Evaluator | None:
    valid = self.corpus.valid
    if valid is None:
      return None
    self.vocabularies.source.prepare(valid[i][0] for i in range(len(valid)))
    # Rows of an ablation that differ in the oracle or in a language model
    # alone share their training.
    decode = dataclasses.replace(
      self.config.decode, oracle_length=False, lm_weight=0.0
    )
    return evaluator.Evaluator(
      dataclasses.replace(self.config, decode=decode),
      self.vocabularies,
      [self.model],
      valid,
      self.local_mapper,
    )

  def _train_step(self) -> Any:
    conf = self.config
    train_step = step.make_train_step(
      objectives.make_loss(self.model, conf.optim),
      self.optimizer,
      optim.schedule(conf.optim, conf.train.steps),
      normalize=conf.optim.normalize,
      accumulate=conf.optim.accumulate,
      ema_decay=conf.optim.ema_decay,
    )
    if self.replicas > 1:
      train_step = step.over_replicas(train_step)
    if conf.train.steps_per_call > 1:
      sizes = [(b.source, b.target) for b in self.data.buckets]
      train_step = step.over_steps(train_step, sizes)
    return self.mapper.map_train_step(train_step, donate=True)

  def _start(self) -> None:
    """State of the last good checkpoint, else a fresh one or a warm start."""
    conf = self.config
    example = batches.filler(self.vocabularies, rows=2, source=4, target=3)
    params = start.initial_params(self.model, conf.train.seed, example)
    optim.check_paths(conf.optim, params)
    self.parameter_count = sum(x.size for x in jax.tree.leaves(params))
    self.state = self.mapper.replicate(self._fresh_state(params, example))
    rules = selection_rules(conf)
    self.selection = [
      model_selection.ModelSelection(rules) for _ in range(self.replicas)
    ]
    self.first_step = self.step = 0
    self.unvalidated = False
    target = self.state._asdict()
    self.identity = identity.of(conf, self.vocabularies, self.state.params)
    if restored := self.checkpoints.restore_latest(target, self.identity):
      self.first_step, arrays, host = restored
      self.step = self.first_step
      self.state = self.mapper.replicate(
        jax.tree.map(
          lambda x: np.asarray(x.addressable_data(0)), step.TrainState(**arrays)
        )
      )
      place = f"{self.checkpoints.folder}, step {self.step}"
      self.selection = model_selection.from_json(rules, host, place)
      if len(self.selection) != self.replicas:
        raise types.UserError(
          f"{place}: holds decisions of {len(self.selection)} runs, not of "
          f"{self.replicas}"
        )
      self.unvalidated = bool(host.get("unvalidated"))
      if (scales := host.get("learning_rate_scales")) is not None:
        self.scale_learning_rates(scales)
    elif conf.train.init_from or conf.train.init_parts:
      host_params = jax.device_get(params)
      merged = warm_parts.merged(host_params, conf.train, self.vocabularies)
      self.state = self.mapper.replicate(
        self._fresh_state(params, example, merged)
      )

  def _fresh_state(
    self, params: Any, example: types.Batch, merged: Any = None
  ) -> step.TrainState:
    """The state before the first update, as `start.fresh_state` says."""
    return start.fresh_state(
      self.config, self.model, self.optimizer, params, example, merged
    )


def selection_rules(conf: config.Config) -> model_selection.Rules:
  """Early-stopping, plateau and checkpoint-retention rules of a config."""
  t, o = conf.train, conf.optim
  return model_selection.Rules(
    lower_is_better=evaluator.find_metric(t.metric).lower_is_better,
    patience=t.patience,
    plateau_patience=o.plateau_patience if o.schedule == "plateau" else 0,
    decay_factor=o.decay_factor,
    min_scale=o.min_learning_rate / o.learning_rate,
    average=t.average,
    average_best=t.average_of == "best",
    keep_last=t.keep_last,
    keep_best=t.keep_best,
  )


def _check_validation(conf: config.Config, corpus: corpus_lib.Corpus) -> None:
  """Refuses decisions by validation scores if there is no validation set."""
  if corpus.valid is not None:
    return
  t = conf.train
  for name, is_set in (
    ("train.patience", t.patience > 0),
    ("train.average_of best", t.average > 0 and t.average_of == "best"),
    ("optim.schedule plateau", conf.optim.schedule == "plateau"),
  ):
    if is_set:
      raise types.UserError(
        f"{name}: needs a validation set (data.valid, or data.holdout)"
      )


def _local_mapper(mapper: parallel.Mapper) -> parallel.Mapper:
  """Maps over this process's devices: evaluation and search."""
  if processes.count() == 1 and mapper.kind != "vmap":
    return mapper
  kind = "shard_map" if mapper.kind == "shard_map" else "pmap"
  return parallel.Mapper(kind, local=True)


def _vocabularies(
  conf: config.Config,
  corpus: corpus_lib.Corpus,
  workdir: pathlib.Path,
  resumed: bool,
) -> vocabulary.Vocabularies:
  """Those of the workdir, or new ones."""
  copies = conf.model.copies()
  if resumed:
    vocabularies = vocabulary.load(conf.data, workdir / "tokenizers", copies)
  else:
    vocabularies = vocabulary.for_new_run(conf.data, corpus, copies)
    vocabularies.check_features(conf.model.encoder.features)
  vocabularies.source.prepare(corpus.train[int(i)][0] for i in corpus.indices)
  return vocabularies
