"""What a training run needs at least, from its config alone.

A size that no memory holds is refused before anything is built: to allocate,
to trace or to compile it would take hours, or end the process. The estimate is
a lower bound that leaves out what is hard to know, so that nothing is refused
that could run; what a compiled step needs exactly is `training/memory_check`.
"""

import math
from typing import NamedTuple

import jax

from seq2seq_jax import config, types
from seq2seq_jax.models import cells
from seq2seq_jax.runtime import memory

FLOAT = 4  # bytes
TONES = 200  # bytes of half a word of a generated utterance
PAIR = 300  # bytes of an example as two Python texts
WORKER = 50 * 2**20  # bytes of a process with NumPy and Grain
# Copies of the parameters that an optimizer keeps.
SLOTS = {
  "sgd": 0,
  "momentum": 1,
  "adam": 2,
  "adamw": 2,
  "adagrad": 1,
  "adadelta": 2,
  "rmsprop": 1,
  "adafactor": 0,
  "lion": 1,
}


class Part(NamedTuple):
  """A part of what is needed, and the fields that make it as large."""

  size: float
  fields: tuple[str, ...]


def check(
  conf: config.Config, vocabularies: tuple[int | None, int] | None = None
) -> None:
  """Refuses a training run that no device of this machine can hold.

  Args:
    conf: of the run.
    vocabularies: sizes of the source's (None: no source) and the target's; by
      default the least that they can be.

  Raises:
    types.UserError: names the estimate, what there is, and the largest fields.
  """
  least = len(types.SPECIALS)
  source, target = vocabularies or (
    (least if conf.data.has_source() else None),
    least,
  )
  optim = conf.optim
  copies = 2 + SLOTS[optim.optimizer] + (optim.ema_decay > 0)
  scale = FLOAT * conf.train.seeds
  more = ("train.seeds",) if conf.train.seeds > 1 else ()
  parts = [
    Part(copies * scale * part.size, part.fields + more)
    for part in parameters(conf.model, source, target)
  ]
  data = conf.data
  batch = data.batch_size / jax.device_count() / optim.accumulate
  # A row has two positions at least, on either side.
  positions = batch * 2 if data.batch_unit == "rows" else batch
  widths = _width(conf.model)
  parts.append(
    Part(scale * positions * widths, ("data.batch_size", "model", *more))
  )
  calls = data.batch_size * conf.train.steps_per_call
  parts.append(
    Part(2 * scale * calls, ("data.batch_size", "train.steps_per_call", *more))
  )
  _refuse("training", parts, memory.of_device(jax.local_devices()[0]), conf)
  _refuse("the data", _of_data(conf), memory.of_machine(), conf)


def parameters(
  model: config.Model, source: int | None, target: int
) -> list[Part]:
  """Numbers of parameters of a model's largest matrices."""
  embed = ("model.embed_dim", "the vocabulary")
  parts = [Part(target * model.target_embed_dim(), (_target(model), embed[1]))]
  if source is not None and model.tie != "all":
    parts.append(Part(source * model.embed_dim, embed))
  if source is not None:
    parts += _encoder(model)
  return parts + _decoder(model, target, source is not None)


def _target(model: config.Model) -> str:
  """The field that says how wide target embeddings are."""
  return (
    "model.decoder.embed_dim"
    if model.decoder.embed_dim
    else ("model.embed_dim")
  )


def _gates(name: str) -> int:
  return cells.CELLS[name].gates if name in cells.CELLS else 1


def _transformer(t: config.Transformer, section: str) -> list[Part]:
  shared = (f"{section}.layers", f"{section}.dim")
  return [
    Part(t.layers * 4 * t.dim**2, shared),
    Part(t.layers * 2 * t.dim * t.hidden, (*shared, f"{section}.hidden")),
  ]


def _section(model: config.Model) -> str:
  """The section of a Transformer decoder."""
  own = model.decoder.sizes == "own"
  return "model.decoder.transformer" if own else "model.transformer"


def _recurrent(name: str, cell: str, dim: int, layers: int, depth: int) -> Part:
  """The recurrent matrices of a stack, one direction."""
  fields: tuple[str, ...] = (f"model.{name}.dim", f"model.{name}.layers")
  if depth > 1:
    fields += ("model.transition_depth",)
  return Part(_gates(cell) * dim**2 * layers * depth, fields)


def _encoder(model: config.Model) -> list[Part]:
  if model.encoder.kind == "transformer":
    return _transformer(model.transformer, "model.transformer")
  encoder, (cell, _) = model.encoder, model.cells()
  inputs = 0 if encoder.front_end != "none" else encoder.features
  stack = _recurrent(
    "encoder", cell, encoder.dim, encoder.layers, model.transition_depth
  )
  return [
    stack,
    Part(
      _gates(cell) * encoder.dim * (inputs or model.embed_dim),
      ("model.encoder.dim", "model.embed_dim", "model.encoder.features"),
    ),
    Part(
      9 * encoder.front_end_channels**2 * (encoder.front_end != "none"),
      ("model.encoder.front_end_channels",),
    ),
  ]


def _decoder(model: config.Model, target: int, attends: bool) -> list[Part]:
  decoder, readout = model.decoder, model.readout
  if decoder.kind == "transformer":
    sizes, section = model.decoder_transformer(), _section(model)
    width, parts = sizes.dim, _transformer(sizes, section)
    fields: tuple[str, ...] = (f"{section}.dim",)
  else:
    cell = model.cells()[1]
    stack = _recurrent(
      "decoder", cell, decoder.dim, decoder.layers, model.transition_depth
    )
    inputs = _gates(cell) * decoder.dim * model.target_embed_dim()
    parts = [stack, Part(inputs, ("model.decoder.dim", _target(model)))]
    width, fields = decoder.dim, ("model.decoder.dim",)
    if readout.kind != "linear":
      parts.append(
        Part(readout.dim * width, ("model.readout.dim", "model.decoder.dim"))
      )
      width, fields = readout.dim, ("model.readout.dim",)
    if attends:
      parts += _attention(model)
  if model.tie == "none":
    parts.append(Part(width * target, (*fields, "the vocabulary")))
  return parts


def _attention(model: config.Model) -> list[Part]:
  attention, dim = model.attention, model.decoder.dim
  if attention.score == "none":
    if model.decoder.context == "last":
      return []
    rows = model.decoder.context_length * model.encoder_widths()[-1]
    return [
      Part(rows * dim, ("model.decoder.context_length", "model.decoder.dim"))
    ]
  both = ("model.decoder.dim", "model.encoder.dim")
  if attention.score == "location":
    return [
      Part(attention.positions * dim, ("model.attention.positions", *both[:1]))
    ]
  if attention.score in ("general", "scaled_general", "multiplicative"):
    return [Part(dim * model.encoder_widths()[-1], both)]
  if attention.score in ("dot", "scaled_dot") or ".py:" in attention.score:
    return []
  return [Part(attention.dim * dim, ("model.attention.dim", *both[:1]))]


def _width(model: config.Model) -> int:
  """Values of a position that the backward pass needs."""
  width = model.embed_dim
  if model.encoder.kind == "rnn":
    width += model.encoder.dim * model.encoder.layers
  if model.decoder.kind == "rnn":
    width += model.decoder.dim * model.decoder.layers
  return width


def _of_data(conf: config.Config) -> list[Part]:
  data, sizes = conf.data, conf.data.synthetic
  generated = data.task in ("copy", "reverse", "sort", "addition", "tones")
  count = sizes.train + sizes.valid + sizes.test if generated else 0
  length = sizes.min_length + sizes.max_length  # twice the mean, of two texts
  if data.task == "tones":
    length *= TONES  # of words, whose phones are kept as Python's numbers
  rules = sizes.rules * 100 if data.task == "copy_rules" else 0
  names = ("train", "valid", "test", "max_length")
  return [
    Part(
      count * (PAIR + length), tuple(f"data.synthetic.{name}" for name in names)
    ),
    Part(rules * PAIR, ("data.synthetic.rules",)),
    Part(data.workers * WORKER, ("data.workers",)),
  ]


def _refuse(
  what: str, parts: list[Part], room: int | None, conf: config.Config
) -> None:
  """Refuses parts that there is no room for.

  Raises:
    types.UserError: they need more than there is.
  """
  total = math.fsum(part.size for part in parts)
  if room is None or total <= room:
    return
  values = {name: value for name, value, _ in config.leaves(conf)}
  largest = max(parts, key=lambda part: part.size)
  fields = " and ".join(
    f"{name} {values[name]:,}" if name in values else name
    for name in largest.fields
    if values.get(name) not in (0, 1)
  )
  raise types.UserError(
    f"{what} would need at least {total / memory.GIB:,.1f} GiB, and "
    f"{'this machine' if what == 'the data' else 'a device'} has "
    f"{room / memory.GIB:,.1f} GiB; {100 * largest.size / total:.0f} % of it "
    f"come from {fields}: lower one of them"
  )
