"""From a config's model section to a module."""

import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.models import cells, decoders, encoders, seq2seq


def build(
  model: config.Model,
  source_size: int | None,
  target_size: int,
) -> seq2seq.Seq2Seq:
  """The module for vocabularies of the given sizes.

  `source_size` None makes a language model: the decoder alone.
  """
  dense = {
    "init": model.init,
    "init_scale": model.init_scale,
    "dtype": jnp.dtype(model.dtype),
  }
  cell_args = dense | {"forget_bias": model.forget_bias}
  table = {"init": model.init, "init_scale": model.init_scale}
  target = decoders.Embed(
    target_size, model.embed_dim, **table, name="target_embed"
  )
  encoder, memory_dim = None, 0
  if source_size is not None:
    source = target
    if model.tie != "all":
      source = decoders.Embed(
        source_size, model.embed_dim, **table, name="source_embed"
      )
    memory_dim = model.encoder_dim * (2 if model.bidirectional else 1)
    encoder = encoders.Encoder(
      embed=source,
      cell=cells.CELLS[model.cell],
      cell_args=cell_args,
      features=model.encoder_dim,
      layers=model.encoder_layers,
      bidirectional=model.bidirectional,
      stacking=model.stacking,
      dropout_embed=model.dropout_embed,
      dropout_rnn=model.dropout_rnn,
    )
  decoder = decoders.Decoder(
    embed_table=target,
    vocab_size=target_size,
    cell=cells.CELLS[model.cell],
    cell_args=cell_args,
    features=model.decoder_dim,
    layers=model.decoder_layers,
    memory_dim=memory_dim,
    bridge=model.bridge if memory_dim else "zero",
    score=None if model.attention == "none" else model.attention,
    attention_dim=model.attention_dim,
    placement=model.placement,
    input_feeding=model.input_feeding,
    context=model.context,
    context_at=model.context_at,
    context_length=model.context_length,
    readout=model.readout,
    readout_dim=model.readout_dim,
    tied=model.tie != "none",
    dropout_embed=model.dropout_embed,
    dropout_rnn=model.dropout_rnn,
    dropout_readout=model.dropout_readout,
    dense_args=dense,
  )
  return seq2seq.Seq2Seq(encoder, decoder)


def example(language_model: bool, rows: int = 2) -> types.Batch:
  """A small batch for `init`. Parameters do not depend on its shape."""
  ids = np.full((rows, 3), types.EOS, np.int32)
  length = np.full((rows,), 3, np.int32)
  row = np.arange(rows, dtype=np.int32)
  if language_model:
    return types.Batch(None, None, ids, length, row)
  return types.Batch(ids, length, ids, length, row)
