"""From a config to a module."""

import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.models import (
  attention,
  cells,
  decoders,
  encoders,
  heads,
  layers,
  seq2seq,
  transformer,
)


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
  table = {"init_kind": model.init, "init_scale": model.init_scale}
  target = layers.Embed(
    target_size, model.embed_dim, **table, name="target_embed"
  )
  encoder = ctc_head = None
  if source_size is not None:
    source = target
    if model.tie != "all" and not model.input_features:
      source = layers.Embed(
        source_size, model.embed_dim, **table, name="source_embed"
      )
    encoder = _encoder(model, _entry(model, source))
  if ctc:
    width = model.encoder_widths()[-1]
    ctc_head = layers.Dense(width, target_size, **_dense(model), name="ctc")
  decoder = _decoder(model, target, target_size, encoder is None)
  return seq2seq.Seq2Seq(encoder, decoder, ctc_head)


def _dense(model: config.Model) -> dict:
  return {
    "init_kind": model.init,
    "init_scale": model.init_scale,
    "dtype": jnp.dtype(model.dtype),
  }


def _cell(model: config.Model) -> dict:
  return _dense(model) | {
    "depth": model.transition_depth,
    "zoneout": model.zoneout,
    "forget_bias": model.forget_bias,
    "recurrent_init": model.recurrent_init,
  }


def _dropout(model: config.Model) -> layers.Dropout:
  return layers.Dropout(
    embed=model.dropout_embed,
    word=model.dropout_word,
    rnn=model.dropout_rnn,
    last=model.dropout_last,
    state=model.dropout_state,
    update=model.dropout_update,
    readout=model.dropout_readout,
    shared=model.variational,
  )


def _shape(model: config.Model) -> transformer.Shape:
  return transformer.Shape(
    width=model.transformer_dim,
    depth=model.transformer_layers,
    heads=model.transformer_heads,
    hidden=model.transformer_hidden,
    norm=model.transformer_norm,
    positions=model.transformer_positions,
    max_positions=model.transformer_max_positions,
  )


def _entry(model: config.Model, source):
  """What turns ids or frames into vectors."""
  if not model.input_features:
    return encoders.Tokens(source)
  if model.front_end == "none":
    return encoders.Frames(model.input_features)
  return encoders.Convolution(
    model.input_features, model.front_end_channels, **_dense(model)
  )


def _encoder(model: config.Model, entry):
  if not model.recurrent_encoder():
    return transformer.Encoder(
      entry, _shape(model), _dropout(model), _dense(model)
    )
  return encoders.Encoder(
    embed=entry,
    cell=cells.CELLS[model.cells()[0]],
    cell_args=_cell(model),
    features=model.encoder_dim,
    depth=model.encoder_layers,
    direction=model.direction,
    stacking=model.stacking,
    residual=model.residual,
    residual_start=model.residual_start,
    reduction=model.reduction,
    reductions=model.reductions,
    recurrence=model.recurrence,
    dropout=_dropout(model),
  )


def _attention(model: config.Model, width: int) -> dict:
  return {
    "score_args": _dense(model)
    | {
      "query_dim": model.decoder_dim,
      "value_dim": width,
      "dim": model.attention_dim,
      "heads": model.attention_heads,
      "positions": model.attention_positions,
      "filters": (model.attention_filters, model.attention_filter_width),
    },
    "window": model.attention_window,
    "window_size": model.attention_window_size,
    "norm": model.attention_norm,
  }


def _decoder(model: config.Model, table, size: int, alone: bool):
  width = 0 if alone else model.encoder_widths()[-1]
  head = heads.HEADS[model.head]
  tied = model.tie != "none"
  if not model.recurrent_decoder():
    return transformer.Decoder(
      table,
      head,
      size,
      width,
      _shape(model),
      tied,
      _dropout(model),
      _dense(model),
    )
  score = None
  if model.attention != "none":
    score = attention.SCORES[model.attention]
  return decoders.Decoder(
    embed_table=table,
    head_class=head,
    vocab_size=size,
    cell=cells.CELLS[model.cells()[1]],
    cell_args=_cell(model),
    features=model.decoder_dim,
    layers=model.decoder_layers,
    residual=model.residual,
    residual_start=model.residual_start,
    memory_dim=width,
    half=model.encoder_dim,
    bridge="zero" if alone else model.bridge,
    attention_class=score,
    attention_args=_attention(model, width),
    placement=model.placement,
    feed=model.feed if model.input_feeding else "none",
    context=model.context,
    context_at=model.context_at,
    context_length=model.context_length,
    readout=model.readout,
    readout_dim=model.readout_dim,
    readout_inputs=model.readout_inputs,
    readout_state=model.readout_state,
    tied=tied,
    dropout=_dropout(model),
    dense_args=_dense(model),
  )


def losses(optim: config.Optim) -> seq2seq.Losses:
  """What a config's optim section trains for."""
  return seq2seq.Losses(
    smoothing=optim.label_smoothing,
    form=optim.smoothing_form,
    coverage=optim.coverage_weight,
    ctc=optim.ctc_weight,
    course=optim.sampling,
    unit=optim.sampling_unit,
    choice=optim.sampling_choice,
    rate=optim.sampling_rate,
    low=optim.sampling_low,
    k=optim.sampling_k,
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
