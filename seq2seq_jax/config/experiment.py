"""Schema: a complete experiment, and what its sections ask of each other."""

import dataclasses

from seq2seq_jax import metrics
from seq2seq_jax.config import fields
from seq2seq_jax.config.data import Data
from seq2seq_jax.config.decode import Decode
from seq2seq_jax.config.model import Model
from seq2seq_jax.config.optim import Optim
from seq2seq_jax.config.train import Train


@fields.strict
@dataclasses.dataclass(frozen=True)
class Config:
  """A complete experiment."""

  data: Data = Data()
  """Where examples come from, their vocabularies and batches."""
  model: Model = Model()
  """Encoder, attention, decoder and head."""
  optim: Optim = Optim()
  """Optimisation."""
  train: Train = Train()
  """Training."""
  decode: Decode = Decode()
  """Search, in validation, `evaluate` and `decode`."""

  def __post_init__(self) -> None:
    fields.validate(self)
    fields.check(
      self.model.tie != "all" or self.data.joint,
      "model.tie",
      "all needs one vocabulary for both sides (--data.joint True)",
    )
    rows = self.data.row_multiple
    fields.check(
      rows % self.optim.accumulate == 0,
      "optim.accumulate",
      f"must divide data.row_multiple ({rows})",
    )
    fields.check(
      self.train.steps_per_call == 1
      or self.data.buckets == 1
      or self.data.batch_unit == "rows",
      "train.steps_per_call",
      "needs batches of as many rows each: data.batch_unit rows, or "
      "data.buckets 1",
    )
    fields.check(
      self.train.seeds == 1 or self.model.recurrence == "scan",
      "model.recurrence",
      "cudnn cannot serve several seeds in one program; use scan",
    )
    audio = self.data.is_audio()
    features = self.data.audio.features()
    fields.check(
      not audio or self.model.encoder.features == features,
      "model.encoder.features",
      f"must be data.audio.bins times data.audio.stack ({features}), not "
      f"{self.model.encoder.features}",
    )
    fields.check(
      not audio or not self.decode.replace_unknown,
      "decode.replace_unknown",
      "frames hold no words to copy",
    )
    lm = not self.data.has_source()
    fields.check(
      not lm
      or self.model.attention.score == "none"
      or self.model.decoder.kind == "transformer",
      "model.attention.score",
      "a language model has no source to attend to; use none",
    )
    fields.check(
      not self.data.reverse_source
      or self.model.attention.window != "monotonic",
      "model.attention.window",
      "monotonic moves on from the source's first word, and with "
      "data.reverse_source that is the last one; let the encoder read "
      "backwards instead (--data.reverse_source False "
      "--model.encoder.direction backward)",
    )
    objectives = self.optim.objective_weights()
    fields.check(
      "coverage" not in objectives or self.model.attends(),
      "optim.objectives",
      "coverage needs an attention",
    )
    fields.check(
      self.model.head == "softmax" or self.optim.label_smoothing == 0,
      "optim.label_smoothing",
      "is not defined for a head that copies; use 0",
    )
    fields.check(
      self.model.head == "softmax" or not lm,
      "model.head",
      "a language model has no source to copy from",
    )
    fields.check(
      self.model.head == "softmax" or self.model.encoder.features == 0,
      "model.head",
      "frames hold no words to copy",
    )
    fields.check(
      self.model.head == "softmax" or self.data.source_ends != "bos_eos",
      "data.source_ends",
      "a head that copies would copy BOS; use eos or none",
    )
    fields.check(
      "coverage" not in objectives or not lm,
      "optim.objectives",
      "a language model has no source to cover",
    )
    sides = (self.data.source, self.data.target)
    words = all(
      t.tokenizer == "word" for t in (sides[:1] if self.data.joint else sides)
    )
    fields.check(
      self.model.head == "softmax" or words,
      "model.head",
      "copying works on words: use tokenizer word on both sides",
    )
    fields.check(
      self.model.head == "softmax"
      or self.data.joint
      or sides[0].lowercase == sides[1].lowercase,
      "data.source.lowercase",
      "copying compares words of both sides: set it as data.target.lowercase",
    )
    fields.check(
      not self.decode.replace_unknown
      or (words and self.model.attention.score != "none"),
      "decode.replace_unknown",
      "needs tokenizer word on both sides, and an attention",
    )
    fields.check(
      not self.decode.replace_unknown or not self.model.encoder.reductions,
      "decode.replace_unknown",
      "needs a position for every word: model.encoder.reductions 0",
    )
    fields.check(
      not self.decode.oracle_length or not (self.data.alternatives or lm),
      "decode.oracle_length",
      "needs one reference for every source",
    )
    fields.check(
      not self.decode.coverage or self.model.attends(),
      "decode.coverage",
      "needs an attention",
    )
    fields.check(
      "ctc" not in objectives or not lm,
      "optim.objectives",
      "ctc is on the encoder, and a language model has none",
    )
    of_ctc = {self.train.metric, *self.train.metrics} & set(
      metrics.names("ctc")
    )
    fields.check(
      not of_ctc or ("ctc" in objectives and self.model.head == "softmax"),
      "train.metric, train.metrics",
      f"{', '.join(sorted(of_ctc))} needs model.head softmax and the objective "
      "ctc (--optim.objectives likelihood=0.5 ctc=0.5)",
    )
    fields.check(
      not self.decode.ctc_weight or "ctc" in objectives,
      "decode.ctc_weight",
      "needs a run that was trained with CTC (--optim.objectives "
      "likelihood=0.5 ctc=0.5); set it to 0",
    )
    fields.check(
      self.model.head == "softmax"
      or not (self.decode.ctc_weight or self.decode.lm_weight),
      "decode.ctc_weight, decode.lm_weight",
      "know no words that are copied from the source; set both to 0",
    )
    fields.check(
      not lm
      or {self.train.metric, *self.train.metrics}
      <= set(metrics.names("model")),
      "train.metric, train.metrics",
      "a language model is scored by loss, perplexity or token_accuracy",
    )
