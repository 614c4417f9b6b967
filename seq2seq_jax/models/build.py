"""From a config to a module."""

import dataclasses
from typing import Any, TypeVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.config import extensions
from seq2seq_jax.models import (
  attention_scores,
  bridges,
  cell,
  cells,
  decoder,
  encoders,
  frontends,
  heads,
  layers,
  placements,
  promises,
  seq2seq,
  transformer,
)

T = TypeVar("T")


def build(
  model: config.Model,
  source_size: int | None,
  target_size: int,
  ctc: bool = False,
) -> seq2seq.Seq2Seq:
  """The module for vocabularies of the given sizes.

  `source_size` None makes a language model: the decoder alone. Frames of
  features have no vocabulary; their size is not read.
  """
  table = _table(model.init)
  target = layers.Embed(
    target_size, model.target_embed_dim(), **table, name="target_embed"
  )
  encoder = ctc_head = None
  if source_size is not None:
    source = target
    if model.tie != "all" and not model.encoder.features:
      source = layers.Embed(
        source_size, model.embed_dim, **table, name="source_embed"
      )
    encoder = _encoder(model, _entry(model, source))
  if ctc:
    width = model.encoder_widths()[-1]
    ctc_head = layers.Dense(width, target_size, **_dense(model), name="ctc")
  module = _decoder(model, target, target_size, encoder is None)
  return seq2seq.Seq2Seq(encoder, module, ctc_head)


def _own_or_listed(
  name: str, table: dict[str, type[T]], base: type[T]
) -> type[T]:
  """A class of ours by its name, or the user's own by FILE.py:NAME.

  Raises:
    types.UserError: the user's is not of the kind that the field takes.
  """
  if name in table:
    return table[name]
  user_class: type[T] = extensions.resolve(name)
  promises.check_class(name, user_class, base)
  return user_class


def is_content_based(name: str) -> bool:
  """Whether the attention score of this name looks at the source vectors."""
  return _own_or_listed(
    name, attention_scores.SCORES, attention_scores.Score
  ).content_based


def _cell_class(name: str) -> type[cell.Cell]:
  return _own_or_listed(name, cells.CELLS, cell.Cell)


def _table(init: config.Init) -> dict[str, Any]:
  """How embeddings are drawn."""
  return {"init_kind": init.weights, "init_scale": init.scale}


def _dense(model: config.Model) -> dict[str, Any]:
  """How matrices are drawn, and the type of their products."""
  return _table(model.init) | {"dtype": jnp.dtype(model.dtype)}


def _cell(model: config.Model) -> dict[str, Any]:
  return _dense(model) | {
    "depth": model.transition_depth,
    "zoneout": model.dropout.zoneout,
    "forget_bias": model.init.forget_bias,
    "recurrent_init": model.init.recurrent,
  }


def _dropout(dropout: config.Dropout) -> layers.Dropout:
  rates = dataclasses.asdict(dropout)
  del rates["zoneout"]  # a cell's own
  return layers.Dropout(shared=rates.pop("variational"), **rates)


def _shape(sizes: config.Transformer) -> transformer.Shape:
  return transformer.Shape(
    width=sizes.dim,
    depth=sizes.layers,
    heads=sizes.heads,
    hidden=sizes.hidden,
    norm=sizes.norm,
    positions=sizes.positions,
    max_positions=sizes.max_positions,
    activation=sizes.activation,
    epsilon=sizes.epsilon,
    scaled=sizes.scale_embeddings,
    normed=sizes.embedding_norm,
    transform=sizes.transform,
  )


def _entry(model: config.Model, source: layers.Embed) -> nn.Module:
  """What turns ids or frames into vectors."""
  encoder = model.encoder
  if not encoder.features:
    return frontends.Tokens(source)
  if encoder.front_end == "none":
    return frontends.Frames(encoder.features)
  return frontends.Convolution(
    encoder.features, encoder.front_end_channels, **_dense(model)
  )


def _encoder(model: config.Model, entry: nn.Module) -> nn.Module:
  if model.encoder.kind == "transformer":
    return transformer.Encoder(
      entry, _shape(model.transformer), _dropout(model.dropout), _dense(model)
    )
  return encoders.Encoder(
    embed=entry,
    cell_class=_cell_class(model.cells()[0]),
    cell_args=_cell(model),
    features=model.encoder.dim,
    depth=model.encoder.layers,
    direction=model.encoder.direction,
    stacking=model.encoder.stacking,
    residual=model.residual,
    residual_start=model.residual_start,
    reduction=model.encoder.reduction,
    reductions=model.encoder.reductions,
    recurrence=model.recurrence,
    dropout=_dropout(model.dropout),
  )


def _attention(model: config.Model, width: int) -> dict[str, Any]:
  section = model.attention
  return {
    "score_args": _dense(model)
    | {
      "query_dim": model.decoder.dim,
      "value_dim": width,
      "dim": section.dim,
      "heads": section.heads,
      "positions": section.positions,
      "filters": (section.filters, section.filter_width),
      "start": section.location_start,
    },
    "window": section.window,
    "window_size": section.window_size,
    "norm": section.norm,
  }


def _decoder(
  model: config.Model, table: layers.Embed, size: int, alone: bool
) -> nn.Module:
  """The decoder; `alone` is that of a language model, without a source."""
  width = 0 if alone else model.encoder_widths()[-1]
  head = heads.HEADS[model.head]
  tied = model.tie != "none"
  if model.decoder.kind == "transformer":
    return transformer.Decoder(
      table,
      head,
      size,
      width,
      _shape(model.decoder_transformer()),
      tied,
      _dropout(model.dropout),
      _dense(model),
    )
  score = None
  if model.attention.score != "none":
    score = _own_or_listed(
      model.attention.score, attention_scores.SCORES, attention_scores.Score
    )
  section, readout = model.decoder, model.readout
  return decoder.Decoder(
    embed_table=table,
    head_class=head,
    vocab_size=size,
    cell_class=_cell_class(model.cells()[1]),
    cell_args=_cell(model),
    features=section.dim,
    depth=section.layers,
    residual=model.residual,
    residual_start=model.residual_start,
    memory_dim=width,
    half=model.encoder.dim,
    bridge_class=_own_or_listed(
      "zero" if alone else section.bridge, bridges.BRIDGES, bridges.Bridge
    ),
    attention_class=score,
    attention_args=_attention(model, width),
    placement=placements.PLACEMENTS[section.placement],
    feed=section.feed if section.input_feeding else "none",
    context=section.context,
    context_at=section.context_at,
    context_length=section.context_length,
    readout_kind=readout.kind,
    readout_dim=readout.dim,
    readout_inputs=readout.inputs,
    readout_state=readout.state,
    tied=tied,
    dropout=_dropout(model.dropout),
    dense_args=_dense(model),
  )


def example(
  language_model: bool, rows: int = 2, frames: int = 0, copies: bool = False
) -> types.Batch:
  """A small batch for `init`. Parameters do not depend on its shape."""
  ids = np.full((rows, 3), types.EOS, np.int32)
  length = np.full((rows,), 3, np.int32)
  row = np.arange(rows, dtype=np.int32)
  if language_model:
    return types.Batch(None, None, ids, length, row)
  src = np.zeros((rows, 4, frames), np.float32) if frames else ids
  ext = ids if copies else None
  return types.Batch(src, length, ids, length, row, ext, ext)
