"""Format `opennmt`: recurrent models of OpenNMT-py 1, 2 and 3.

One file has weights, options and vocabularies. Its sources have no EOS; its
readout is over [context; state], and has no tanh behind the attention `mlp`.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.interchange import (
  formats,
  imported,
  opennmt_vocabulary,
  toolkit_options,
  toolkit_words,
  torch_cells,
  torch_files,
)

TABLE = "{}.embeddings.make_embedding.emb_luts.{}.weight"
SOURCE_TABLE, TARGET_TABLE = (
  TABLE.format(side, 0) for side in ("encoder", "decoder")
)
ATTENTION = "decoder.attn."
GENERATOR = "generator."
BRIDGE = "encoder.bridge.{}."
# Options, and their values that ours can have; absent ones are as the first.
SUPPORTED: Mapping[str, tuple[Any, ...]] = {
  "model_type": ("text",),
  "encoder_type": ("brnn", "rnn"),
  "decoder_type": ("rnn",),
  "rnn_type": ("LSTM", "GRU"),
  "global_attention": ("general", "dot", "mlp", "none", None),
  "global_attention_function": ("softmax", "sparsemax"),
  "generator_function": ("softmax", "log_softmax"),
  "context_gate": (None,),
  "coverage_attn": (False,),
  "position_encoding": (False,),
}
DISTRUST = (
  "the model copies: OpenNMT-py 3 trains such models with the attention of "
  "other steps than the features'; compare outputs before you rely on it"
)


def read(path: pathlib.Path, options: formats.Options) -> imported.Imported:
  """The model of a checkpoint of OpenNMT-py.

  Raises:
    types.UserError: it is none, or has a part that ours cannot have.
  """
  del options
  content = torch_files.read(path)
  if not isinstance(content, Mapping) or not (
    {"model", "generator", "vocab", "opt"} <= content.keys()
  ):
    raise types.UserError(
      f"{path}: is no checkpoint of OpenNMT-py, which has model, generator, "
      "vocab and opt"
    )
  arrays = dict(torch_files.arrays(content["model"], path))
  generator = torch_files.arrays(content["generator"], path)
  arrays |= {f"{GENERATOR}{name}": value for name, value in generator.items()}
  words = opennmt_vocabulary.read(content["vocab"], path)
  return converted(arrays, toolkit_options.fields(content["opt"]), words, path)


def converted(
  arrays: Mapping[str, np.ndarray],
  opt: Mapping[str, Any],
  words: opennmt_vocabulary.Words,
  place: Any,
) -> imported.Imported:
  """The model in our terms.

  Args:
    arrays: `model`, and `generator` with names that begin with generator.
    opt: options of the training.
    words: of both sides.
    place: the file, for messages.

  Raises:
    types.UserError: the model has a part that ours cannot have.
  """
  transfer = imported.Transfer(arrays, place)
  check_supported(transfer, opt)
  embed = transfer.take(TARGET_TABLE, len(words.target.words), None).shape[1]
  encoder = torch_cells.move_encoder(transfer, "encoder.rnn")
  stacked = "decoder.rnn.layers.0.weight_ih" in transfer
  pattern = "decoder.rnn.layers.{1}.{0}" if stacked else "decoder.rnn.{0}_l{1}"
  decoder = torch_cells.move_decoder(transfer, pattern, embed)
  width = decoder["dim"]
  memory = encoder["dim"] * (2 if encoder["direction"] == "both" else 1)
  if (encoder["layers"], memory) != (decoder["layers"], width):
    raise types.UserError(
      f"{place}: the encoder has {encoder['layers']} layers of {memory}, the "
      f"decoder {decoder['layers']} of {width}; its first state would need "
      "both to be equal"
    )
  decoder["bridge"] = move_bridge(transfer, encoder["cell"])
  head = _head(transfer)
  tie = tie_of(transfer, opt, words)
  move_words(transfer, words, tie, head)
  attends = move_attention(transfer, opt, width)
  model = config.Model(
    embed_dim=transfer.take(SOURCE_TABLE).shape[1],
    encoder=config.Encoder(**encoder),
    decoder=config.Decoder(**decoder),
    attention=attends.attention,
    readout=attends.readout,
    head="softmax" if head.gate is None else "readout_pointer",
    tie=tie,
  )
  copies = model.copies()
  data = toolkit_words.data_of(words.source, words.target, source_ends="none")
  return transfer.result(
    imported.config_of(model, data),
    toolkit_words.vocabularies(words.source, words.target, data, copies=copies),
    notes=[
      *notes(opt, model),
      *toolkit_words.notes(words.source, words.target),
    ],
  )


def check_supported(
  transfer: imported.Transfer, opt: Mapping[str, Any]
) -> None:
  """Refuses what ours cannot have.

  Raises:
    types.UserError: names the option and its value.
  """
  for name, values in SUPPORTED.items():
    given = opt.get(name, values[0])
    if given not in values:
      shown = ", ".join(str(v) for v in values if v is not None)
      raise types.UserError(
        f"{transfer.place}: the option {name} is {given}; only {shown or None} "
        "can be expressed"
      )
  if opt.get("copy_attn") and not opt.get("reuse_copy_attn"):
    raise types.UserError(
      f"{transfer.place}: the option copy_attn without reuse_copy_attn makes "
      "an attention for copying alone, which ours does not have"
    )
  for side in ("encoder", "decoder"):
    if TABLE.format(side, 1) in transfer:
      raise types.UserError(
        f"{transfer.place}: the words of the {side} have features beside them "
        f"({TABLE.format(side, 1)}); only words can be expressed"
      )


class Head(NamedTuple):
  """Names of the generator's arrays."""

  kernel: str
  bias: str
  gate: str | None
  """Of the copying gate, if it copies."""


def _head(transfer: imported.Transfer) -> Head:
  """The generator's arrays, which have other names in other versions."""
  for prefix in ("linear.", "", "0."):
    name = f"{GENERATOR}{prefix}weight"
    if name in transfer:
      gate = f"{GENERATOR}linear_copy." if prefix == "linear." else None
      return Head(name, f"{GENERATOR}{prefix}bias", gate)
  raise types.UserError(f"{transfer.place}: its generator has no weight")


def tie_of(
  transfer: imported.Transfer,
  opt: Mapping[str, Any],
  words: opennmt_vocabulary.Words,
) -> Any:
  """Which matrices are one: our `model.tie`.

  A decoder that begins with EOS has an embedding of BOS that is no row of the
  softmax.
  """
  if not opt.get("share_decoder_embeddings"):
    return "none"
  return "none" if words.start != words.target.specials.bos else "decoder"


def move_words(
  transfer: imported.Transfer,
  words: opennmt_vocabulary.Words,
  tie: str,
  head: Head,
) -> None:
  """Moves what has a row a word: embeddings and the generator."""
  moves = (
    (SOURCE_TABLE, words.source, None, "encoder/embed/table/table"),
    (TARGET_TABLE, words.target, words.start, "decoder/embed_table/table"),
  )
  for name, side, start, path in moves:
    table = transfer.take(name, None, None)
    side.check(name, len(table), transfer.place)
    how = "rows in our order"
    transfer.put(path, side.table(table, start), name, how=how)
  target = words.target
  kernel = transfer.take(head.kernel, len(target.words), None)
  bias = transfer.take(head.bias, len(target.words))
  if tie == "none":
    transfer.put(
      "decoder/head/kernel",
      target.table(kernel).T,
      head.kernel,
      how="rows in our order, transposed",
    )
  how = "rows in our order"
  without: tuple[int, ...] = ()
  if head.gate is not None:
    how, without = f"{how}, pad without probability", (types.PAD,)
    # Theirs is the probability to copy, ours to generate.
    for part in ("weight", "bias"):
      value = -transfer.take(f"{head.gate}{part}")
      path = "kernel" if part == "weight" else part
      transfer.put(
        f"decoder/head/gate/{path}",
        value.T,
        f"{head.gate}{part}",
        how="transposed, its sign changed",
      )
  transfer.put(
    "decoder/head/bias", target.biases(bias, *without), head.bias, how=how
  )


class Attends(NamedTuple):
  """The sections of the config that an attention decides."""

  attention: config.Attention
  readout: config.Readout


def move_attention(
  transfer: imported.Transfer, opt: Mapping[str, Any], width: int
) -> Attends:
  """Moves attention and readout.

  Args:
    transfer: from the arrays to the parameters.
    opt: options of the training.
    width: of the decoder's state, and of the encoder's outputs.
  """
  score, path = "dot", "decoder/attention/score/"
  out = f"{ATTENTION}linear_out."
  if f"{out}weight" not in transfer:
    return Attends(
      config.Attention(score="none"),
      config.Readout(kind="linear", inputs="state"),
    )
  if f"{ATTENTION}linear_in.weight" in transfer:
    # (W s) h is s W^T h: our key is W as it is.
    score = "general"
    transfer.move(f"{ATTENTION}linear_in.weight", f"{path}key")
  elif f"{ATTENTION}linear_query.weight" in transfer:
    score = "additive"
    transfer.transpose(f"{ATTENTION}linear_context.weight", f"{path}key")
    transfer.transpose(f"{ATTENTION}linear_query.weight", f"{path}query")
    transfer.move(f"{ATTENTION}linear_query.bias", f"{path}bias")
    transfer.transpose(f"{ATTENTION}v.weight", f"{path}v")
  kernel = transfer.take(f"{out}weight", width, 2 * width)
  transfer.put(
    "decoder/readout_layer/kernel",
    torch_cells.state_first(kernel, width),
    f"{out}weight",
    how="[state; context], transposed",
  )
  if f"{out}bias" in transfer:
    transfer.move(f"{out}bias", "decoder/readout_layer/bias")
  else:
    zeros = np.zeros(width, np.float32)
    transfer.put(
      "decoder/readout_layer/bias", zeros, how="OpenNMT-py has none: zeros"
    )
  norm = opt.get("global_attention_function", "softmax")
  return Attends(
    config.Attention(score=score, dim=width, norm=norm),
    config.Readout(kind="affine" if score == "additive" else "tanh", dim=width),
  )


def move_bridge(transfer: imported.Transfer, cell: str) -> str:
  """Moves the bridge, if there is one; its name."""
  if f"{BRIDGE.format(0)}weight" not in transfer:
    return "last"
  # Theirs are h, c; ours c, h.
  leaves = (0,) if cell == "gru" else (1, 0)
  for leaf, theirs in enumerate(leaves):
    path = f"decoder/start_bridge/leaf_{leaf}"
    transfer.transpose(f"{BRIDGE.format(theirs)}weight", f"{path}/kernel")
    transfer.move(f"{BRIDGE.format(theirs)}bias", f"{path}/bias")
  return "relu_rows"


def notes(opt: Mapping[str, Any], model: config.Model) -> list[str]:
  """What a user must know of the model."""
  out = []
  if model.copies():
    out.append(DISTRUST)
  if opt.get("share_decoder_embeddings") and model.tie == "none":
    out.append(
      "softmax and target embeddings were one matrix; they are two here"
    )
  if opt.get("share_embeddings"):
    out.append("the embeddings of both sides were one; they are two here")
  return out
