"""One training run: its data, model, state, and the decisions made so far."""

import dataclasses
import logging
import pathlib

import flax
import jax
import numpy as np

from seq2seq_jax import config, metrics, types
from seq2seq_jax.checkpoints import select, store
from seq2seq_jax.data import batches, vocabulary
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.inference import evaluator, translator
from seq2seq_jax.models import build, dropout_masks
from seq2seq_jax.runtime import files, parallel
from seq2seq_jax.training import (
  memory_check,
  metrics_writer,
  model_selection,
  optim,
  run_info,
  step,
)

log = logging.getLogger(__name__)


def losses_of(model, conf: config.Optim):
  """`losses(params, batch, seed, step)` with dropout, for the train step."""
  what = build.losses(conf)

  def losses(params, batch, seed, step):
    return model.apply(
      params,
      batch,
      dropout_masks.row_keys(seed, step, batch.row),
      what,
      dropout_masks.batch_key(seed, step),
      step,
      method="losses",
    )

  return losses


def initial_params(model, seed: int, example: types.Batch):
  """Freshly initialised parameters."""
  init = lambda rng, batch: model.init(rng, batch, method="initialize")
  return jax.jit(init)(jax.random.key(seed), example)


def decisions(conf: config.Config) -> model_selection.Rules:
  """What follows from validation scores."""
  t, o = conf.train, conf.optim
  return model_selection.Rules(
    falling=metrics.METRICS[t.metric].lower_is_better,
    patience=t.patience,
    plateau=o.plateau_patience if o.schedule == "plateau" else 0,
    decay=o.decay_factor,
    lowest=o.min_learning_rate / o.learning_rate,
    average=t.average,
    average_best=t.average_of == "best",
    keep_last=t.keep_last,
    keep_best=t.keep_best,
  )


class Run:
  """One training run: data, model, state and the decisions made so far."""

  def __init__(self, conf: config.Config, workdir: pathlib.Path):
    self.conf, self.workdir = conf, workdir
    self.primary = jax.process_index() == 0
    self.corpus = corpus_lib.Corpus(conf.data)
    self._check_validation()
    self.checksums = self.corpus.checksums()
    resumed = run_info.accept(workdir, conf, self.checksums)
    parallel.barrier("the workdir is known")
    self.mapper = parallel.Mapper(conf.train.mapper)
    self.local = parallel.Mapper(
      "shard_map" if conf.train.mapper == "shard_map" else "pmap", local=True
    )
    self.vocabularies = self._vocabularies(resumed)
    self.replicas = conf.train.seeds
    self.train_data = self._train_data()
    for bucket in self.train_data.buckets:
      self.mapper.check_rows(
        bucket.rows, "data.row_multiple", conf.optim.accumulate
      )
    self.model = self._model(*self.vocabularies.sizes)
    self.evaluator = None
    if self.corpus.valid is not None:
      # Rows of a table that differ in the oracle share this run.
      free = dataclasses.replace(conf.decode, oracle_length=False)
      self.evaluator = evaluator.Evaluator(
        dataclasses.replace(conf, decode=free),
        self.vocabularies,
        [self.model],
        self.corpus.valid,
        self.local,
      )
    self._build_step()
    machine = run_info.machine()
    if resumed:
      run_info.compare(workdir, machine)
    if self.primary:
      run_info.write(workdir, conf, machine, self.checksums)
    self.checkpoints = store.Checkpoints(workdir)
    self._restore()

  def _model(self, source: int | None, target: int):
    """The config's model over vocabularies of these sizes."""
    ctc = self.conf.optim.ctc_weight > 0
    return build.build(self.conf.model, source, target, ctc=ctc)

  def _check_validation(self):
    """Refuses decisions by scores where there is nothing to score."""
    if self.corpus.valid is not None:
      return
    t, o = self.conf.train, self.conf.optim
    for name, asked in (
      ("train.patience", t.patience),
      ("train.average_of best", t.average and t.average_of == "best"),
      ("optim.schedule plateau", o.schedule == "plateau"),
    ):
      if asked:
        raise types.UserError(
          f"{name}: needs a validation set (data.valid, or data.holdout)"
        )

  def _train_data(self):
    cache = self.workdir / "lengths.npz" if self.primary else None
    lengths = batches.measure(
      self.corpus, self.vocabularies, cache, files.replace
    )

    def of_seed(seed: int) -> batches.TrainData:
      return batches.TrainData(
        self.conf.data, self.corpus, self.vocabularies, seed, lengths
      )

    seed = self.conf.train.seed
    if self.replicas == 1:
      return of_seed(seed)
    return batches.Replicas([of_seed(seed + i) for i in range(self.replicas)])

  def _vocabularies(self, resumed: bool) -> vocabulary.Vocabularies:
    """The workdir's, or new ones, which are written there."""
    folder = self.workdir / "tokenizers"
    data, copies = self.conf.data, self.conf.model.copies()
    if resumed:
      return vocabulary.load(data, folder, copies)
    vocabularies = vocabulary.for_new_run(data, self.corpus, copies)
    vocabularies.check_features(self.conf.model.encoder.features)
    if self.primary:
      try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in vocabularies.files().items():
          files.replace(folder / name, content, durable=True)
      except OSError as e:
        raise types.UserError(f"{folder}: cannot write: {e.strerror}") from e
    return vocabularies

  def _build_step(self):
    conf = self.conf
    self.optimizer = optim.optimizer(conf.optim)
    self.schedule = optim.schedule(conf.optim, conf.train.steps)
    train_step = step.make_train_step(
      losses_of(self.model, conf.optim),
      self.optimizer,
      self.schedule,
      normalize=conf.optim.normalize,
      accumulate=conf.optim.accumulate,
      ema_decay=conf.optim.ema_decay,
    )
    if self.replicas > 1:
      train_step = step.over_replicas(train_step)
    if conf.train.steps_per_call > 1:
      sizes = [(b.source, b.target) for b in self.train_data.buckets]
      train_step = step.over_steps(train_step, sizes)
    self.train_step = self.mapper.map_train_step(train_step, donate=True)

  def _restore(self):
    """State of the last good checkpoint, or a fresh one."""
    conf = self.conf
    example = batches.filler(self.vocabularies, rows=2, source=4, target=3)
    params = initial_params(self.model, conf.train.seed, example)
    optim.check_paths(conf.optim, params)
    self.size = sum(x.size for x in jax.tree.leaves(params))
    self.state = self.mapper.replicate(self._fresh(params, example))
    target = parallel.to_global(self.state)._asdict()
    found = self.checkpoints.restore_latest(target)
    rules = decisions(conf)
    self.histories = [
      model_selection.History(rules) for _ in range(self.replicas)
    ]
    self.first = 0
    if found:
      self.first, restored, host = found
      self.state = self.mapper.replicate(
        jax.tree.map(
          lambda x: np.asarray(x.addressable_data(0)),
          step.TrainState(**restored),
        )
      )
      self.histories = model_selection.unpack(rules, host)
    elif conf.train.init_from:
      other = select.load_any(conf.train.init_from)
      merged = select.merge(
        jax.device_get(params), other, self._foreign(example)
      )
      fresh = self._fresh(params, example, merged)
      self.state = self.mapper.replicate(fresh)

  def _foreign(self, example) -> frozenset[str]:
    """Names of parameters whose rows stand for other words in `init_from`.

    Where its vocabulary is another one, they are those whose shapes would
    change with the vocabulary's size.
    """
    place, _ = select.place_of(self.conf.train.init_from)
    path = place / "config.json"
    if not path.is_file():
      return frozenset()
    data = config.from_json(path.read_text(), str(path)).data
    ours = self.vocabularies
    theirs = vocabulary.load(data, place / "tokenizers")
    other = list(ours.sizes)
    for n, (side, their_side) in enumerate(
      ((ours.source, theirs.source), (ours.target, theirs.target))
    ):
      if side.vocab_size and side.checksum() != their_side.checksum():
        other[n] += 1

    def shapes(model):
      tree = jax.eval_shape(lambda: initial_params(model, 0, example))
      return flax.traverse_util.flatten_dict(tree, sep="/")

    here, there = shapes(self.model), shapes(self._model(*other))
    return frozenset(n for n in here if here[n].shape != there[n].shape)

  def _fresh(self, params, example, merged=None) -> step.TrainState:
    """The state before the first update, replicas on a leading axis."""
    ema, states = self.conf.optim.ema_decay > 0, []
    for replica in range(self.replicas):
      seed = self.conf.train.seed + replica
      if replica:
        params = initial_params(self.model, seed, example)
      start = params if merged is None else merged
      states.append(step.init_state(start, self.optimizer, seed, ema))
    if self.replicas == 1:
      return states[0]
    return jax.tree.map(lambda *xs: np.stack(jax.device_get(xs)), *states)

  def params(self, replica: int = 0):
    """What is validated and decoded with: averaged parameters where kept."""
    params = self.state.ema if self.state.ema is not None else self.state.params
    same = self.local.kind == self.mapper.kind and jax.process_count() == 1
    if same and self.replicas == 1:
      return params
    host = jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), params)
    if self.replicas > 1:
      host = jax.tree.map(lambda x: x[replica], host)
    return self.local.replicate(host)

  def compile(self, out: metrics_writer.Writer, stopped=lambda: False) -> bool:
    """Compiles the train step for every shape of batch, ahead of the first.

    False if it was `stopped` between two of them.
    """
    buckets, needs = self.train_data.buckets, []
    calls = self.conf.train.steps_per_call
    if calls > 1:  # one program, in which every step chooses its shape
      buckets = buckets[-1:]
    for i, bucket in enumerate(buckets):
      if stopped():
        return False
      shape = f"source {bucket.source} x target {bucket.target}"
      out.phase(f"compiling: {shape}", i + 1, len(buckets))
      batch = batches.filler(
        self.vocabularies,
        bucket.rows // jax.process_count(),
        bucket.source,
        bucket.target,
      )
      if self.replicas > 1:
        batch = batches.stack([batch] * self.replicas)
      if calls > 1:
        batch = batches.stack([batch] * calls)
      sharded = self.mapper.shard(batch)
      compiled = self.train_step.lower(self.state, sharded).compile()
      rows = bucket.rows // self.mapper.count
      length = bucket.source + bucket.target
      needs.append(memory_check.need(compiled, rows, length))
    told = memory_check.report(
      needs, memory_check.capacity(jax.local_devices()[0])
    )
    if told:
      log.info(told)
    return not stopped()

  def running(self) -> list[int]:
    """Replicas that have not stopped."""
    return [i for i, h in enumerate(self.histories) if not h["stopped"]]

  def validate(self, at: int, out: metrics_writer.Writer) -> None:
    """Scores every running replica, and makes the decisions that follow."""
    every = {}
    for replica in self.running():
      values = self._scores(replica, out)
      every |= {self.named(k, replica): v for k, v in values.items()}
      self.fold(replica, at, values[self.conf.train.metric])
    out.write(at, "valid", every)
    metric = self.conf.train.metric
    for replica, h in enumerate(self.histories):
      if self.named(metric, replica) in every:
        out.validation(
          at,
          self.named(metric, replica),
          h["last_score"],
          h["best_step"],
          h["best_score"],
        )

  def named(self, name: str, replica: int) -> str:
    return name if self.replicas == 1 else f"{name}/replica_{replica}"

  def _scores(
    self, replica: int, out: metrics_writer.Writer
  ) -> dict[str, float]:
    """Scores of the validation set."""
    names = evaluator.wanted(self.conf)
    params = (self.params(replica),)
    total = len(self.evaluator.sources)
    out.phase("validating: loss")
    values = self.evaluator.losses(params)
    if any(n not in metrics.names("model") for n in names):
      options = translator.options_of(self.conf.decode)._replace(
        beam_size=self.conf.decode.valid_beam_size, exact=0
      )
      show = lambda n: out.phase("validating: decoding", n, total)
      _, texts = self.evaluator.translate(params, options, show)
      scores = self.evaluator.score_texts(texts, names)
      values |= {k: v for k, v in scores.items() if isinstance(v, float)}
    return values

  def fold(self, replica: int, at: int, score: float) -> None:
    """Makes every decision that follows from a validation."""
    told = self.histories[replica]
    falls = told.fold(at, score)
    if falls or told["stopped"]:
      scale = np.array(self.state.lr_scale.addressable_data(0))
      scales = scale.reshape(-1)  # a view: one entry a replica
      if falls:
        scales[replica] = told.lowered(scales[replica])
      if told["stopped"] and self.replicas > 1:
        scales[replica] = 0.0
      self.state = self.state._replace(lr_scale=self.mapper.replicate(scale))

  def diverge(self, replica: int, at: int) -> None:
    """Stops a replica whose loss is not finite."""
    self.histories[replica]["diverged"] = at
    self.histories[replica]["stopped"] = True
    scale = np.array(self.state.lr_scale.addressable_data(0))
    scale[replica] = 0.0
    self.state = self.state._replace(lr_scale=self.mapper.replicate(scale))

  def needed(self) -> set[int]:
    """Steps whose checkpoints are kept."""
    return set().union(*(h.needed() for h in self.histories))

  def save(self, at: int, out: metrics_writer.Writer) -> None:
    out.phase("saving")
    state = parallel.to_global(self.state)._asdict()
    host = model_selection.pack(self.histories)
    self.checkpoints.save(at, state, host, self.needed())
