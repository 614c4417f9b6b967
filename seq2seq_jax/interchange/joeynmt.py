"""Format `joeynmt`: recurrent models of JoeyNMT 1 and 2.

A folder of JoeyNMT's training: best.ckpt, config.yaml, src_vocab.txt and
trg_vocab.txt. Its attention queries with the new top state, its readout is over
[state; context], and its first state is one vector for all layers and for an
LSTM's h and c.
"""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import yaml

from seq2seq_jax import config, types
from seq2seq_jax.interchange import (
  formats,
  imported,
  toolkit_options,
  toolkit_words,
  torch_cells,
  torch_files,
)

CHECKPOINT = "best.ckpt"
SOURCE_TABLE, TARGET_TABLE = "src_embed.lut.weight", "trg_embed.lut.weight"
OUTPUT = "decoder.output_layer.weight"
ATTENTION = "decoder.attention."
READOUT = "decoder.att_vector_layer."
BRIDGE = "decoder.bridge_layer."


def read(path: pathlib.Path, options: formats.Options) -> imported.Imported:
  """The model of a folder of JoeyNMT's training, or of a checkpoint in one.

  Args:
    path: the folder, or a file in it.
    options: `checkpoint`, by default best.ckpt; `config`, by default
      config.yaml beside it; `source_vocab` and `target_vocab`, by default
      src_vocab.txt and trg_vocab.txt.

  Raises:
    types.UserError: a file is missing or is none of JoeyNMT's, or the model has
      a part that ours cannot have.
  """
  folder = path if path.is_dir() else path.parent
  file = folder / (options.checkpoint or CHECKPOINT) if path.is_dir() else path
  content = torch_files.read(file)
  if not isinstance(content, Mapping) or "model_state" not in content:
    raise types.UserError(
      f"{file}: is no checkpoint of JoeyNMT, which has a model_state"
    )
  settings = read_settings(options.config or folder / "config.yaml")
  lists = [
    word_list(named or folder / default, settings, side)
    for named, default, side in (
      (options.source_vocab, "src_vocab.txt", "src"),
      (options.target_vocab, "trg_vocab.txt", "trg"),
    )
  ]
  return converted(
    torch_files.arrays(content["model_state"], file),
    settings,
    lists[0],
    lists[1],
    file,
  )


def read_settings(path: pathlib.Path) -> Mapping[str, Any]:
  """A config.yaml of JoeyNMT.

  Raises:
    types.UserError: it cannot be read, or has no model section.
  """
  try:
    settings = yaml.safe_load(path.read_bytes())
  except OSError as e:
    raise types.UserError(f"{path}: {e.strerror or e}") from e
  except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as e:
    reason = str(e).splitlines()[0]
    raise types.UserError(f"{path}: is no YAML: {reason}") from e
  if not isinstance(settings, dict) or not isinstance(
    settings.get("model"), dict
  ):
    raise types.UserError(
      f"{path}: is no config of JoeyNMT, which has a section model"
    )
  return settings


def word_list(
  path: pathlib.Path, settings: Mapping[str, Any], side: str
) -> toolkit_words.WordList:
  """The words of a side.

  Args:
    path: of the file, a word a line.
    settings: of the model.
    side: src or trg.
  """
  words = toolkit_words.read_lines(path)
  data = toolkit_options.section(settings, "data")
  symbols = toolkit_options.section(data, "special_symbols")
  own = toolkit_options.section(data, side)
  level = own.get("level", data.get("level", "word"))
  rows = []
  for name, default in (("pad", 1), ("bos", 2), ("eos", 3), ("unk", 0)):
    row = symbols.get(f"{name}_id", default)
    token = symbols.get(f"{name}_token")
    if token in words:
      row = words.index(token)
    if not isinstance(row, int) or not 0 <= row < len(words):
      raise types.UserError(f"{path}: has no word {row}, that of {name}")
    rows.append(row)
  if level == "char":
    words = [" " if word == "▁" else word for word in words]
  return toolkit_words.WordList(
    words,
    toolkit_words.Specials(*rows),
    str(path),
    kind="char" if level == "char" else "word",
    lowercase=bool(own.get("lowercase", data.get("lowercase", False))),
  )


def converted(
  arrays: Mapping[str, np.ndarray],
  settings: Mapping[str, Any],
  source: toolkit_words.WordList,
  target: toolkit_words.WordList,
  place: Any,
) -> imported.Imported:
  """The model in our terms.

  Args:
    arrays: `model_state` of the checkpoint.
    settings: of its config.yaml.
    source: words of the source's table.
    target: words of the target's.
    place: the file, for messages.

  Raises:
    types.UserError: the model has a part that ours cannot have.
  """
  model = toolkit_options.section(settings, "model")
  check_supported(model, place)
  transfer = imported.Transfer(arrays, place)
  if TARGET_TABLE not in transfer or f"{READOUT}weight" not in transfer:
    raise types.UserError(
      f"{place}: is no recurrent model of JoeyNMT with an attention"
    )
  tie = tie_of(model, source, target)
  encoder = torch_cells.move_encoder(transfer, "encoder.rnn")
  embed = transfer.take(TARGET_TABLE, len(target.words), None).shape[1]
  decoder = torch_cells.move_decoder(transfer, "decoder.rnn.{0}_l{1}", embed)
  memory = encoder["dim"] * (2 if encoder["direction"] == "both" else 1)
  decoder["bridge"] = move_bridge(
    transfer, toolkit_options.section(model, "decoder")
  )
  source_embed = move_tables(transfer, model, source, target, tie)
  score = move_attention(transfer, decoder["dim"], memory)
  ours = config.Model(
    embed_dim=source_embed,
    encoder=config.Encoder(**encoder),
    decoder=config.Decoder(**decoder),
    attention=config.Attention(score=score, dim=decoder["dim"]),
    readout=config.Readout(kind="tanh", dim=decoder["dim"]),
    tie=tie,
  )
  data = toolkit_words.data_of(source, target, joint=tie == "all")
  return transfer.result(
    imported.config_of(ours, data),
    toolkit_words.vocabularies(source, target, data),
    notes=[*notes(model, tie), *toolkit_words.notes(source, target)],
  )


def check_supported(model: Mapping[str, Any], place: Any) -> None:
  """Refuses what ours cannot have.

  Raises:
    types.UserError: names the part and its value.
  """
  decoder = toolkit_options.section(model, "decoder")
  for section, field, wanted, given in (
    *(
      (
        side,
        "type",
        ("recurrent",),
        toolkit_options.section(model, side).get("type"),
      )
      for side in ("encoder", "decoder")
    ),
    ("decoder", "activation", ("tanh",), decoder.get("activation")),
    (
      "decoder",
      "attention",
      ("bahdanau", "luong"),
      decoder.get("attention"),
    ),
    (
      "decoder",
      "init_hidden",
      ("bridge", "last", "zero"),
      decoder.get("init_hidden"),
    ),
  ):
    if given is not None and given not in wanted:
      raise types.UserError(
        f"{place}: model.{section}.{field} is {given}; only "
        f"{' and '.join(wanted)} can be expressed"
      )


def tie_of(
  model: Mapping[str, Any],
  source: toolkit_words.WordList,
  target: toolkit_words.WordList,
) -> Any:
  """Which matrices are one: our `model.tie`.

  A table that is scaled before it is read is another matrix than the softmax's.
  """
  decoder = toolkit_options.section(model, "decoder", "embeddings")
  if not model.get("tied_softmax") or decoder.get("scale"):
    return "none"
  encoder = toolkit_options.section(model, "encoder", "embeddings")
  same = source.rows() == target.rows() and source.words == target.words
  if model.get("tied_embeddings") and same and not encoder.get("scale"):
    return "all"
  return "decoder"


def move_tables(
  transfer: imported.Transfer,
  model: Mapping[str, Any],
  source: toolkit_words.WordList,
  target: toolkit_words.WordList,
  tie: str,
) -> int:
  """Moves embeddings and softmax; the width of source embeddings."""
  for name, side, words, path in (
    (SOURCE_TABLE, "encoder", source, "encoder/embed/table/table"),
    (TARGET_TABLE, "decoder", target, "decoder/embed_table/table"),
  ):
    table = transfer.take(name, None, None)
    words.check(name, len(table), transfer.place)
    how = "rows in our order"
    if toolkit_options.section(model, side, "embeddings").get("scale"):
      table = table * math.sqrt(table.shape[1])
      how += ", times the root of the width"
    if side == "decoder" or tie != "all":
      transfer.put(path, words.table(table), name, how=how)
  output = transfer.take(OUTPUT, len(target.words), None)
  if tie == "none":
    kernel = target.table(output).T
    transfer.put(
      "decoder/head/kernel", kernel, OUTPUT, how="rows in our order, transposed"
    )
  zeros = np.zeros(len(target.words), np.float32)
  transfer.put("decoder/head/bias", zeros, how="JoeyNMT has none: zeros")
  return transfer.take(SOURCE_TABLE).shape[1]


def move_attention(transfer: imported.Transfer, width: int, memory: int) -> str:
  """Moves attention and readout; the name of the score.

  Args:
    transfer: from the arrays to the parameters.
    width: of the decoder's state.
    memory: width of the encoder's outputs.
  """
  key, score = f"{ATTENTION}key_layer.weight", "general"
  transfer.take(key, width, memory)
  transfer.transpose(key, "decoder/attention/score/key")
  if f"{ATTENTION}query_layer.weight" in transfer:
    score = "additive"
    transfer.transpose(
      f"{ATTENTION}query_layer.weight", "decoder/attention/score/query"
    )
    transfer.transpose(
      f"{ATTENTION}energy_layer.weight", "decoder/attention/score/v"
    )
    zeros = np.zeros(width, np.float32)
    path = "decoder/attention/score/bias"
    transfer.put(path, zeros, how="JoeyNMT has none: zeros")
  transfer.take(f"{READOUT}weight", width, width + memory)
  transfer.transpose(f"{READOUT}weight", "decoder/readout_layer/kernel")
  transfer.move(f"{READOUT}bias", "decoder/readout_layer/bias")
  return score


def move_bridge(transfer: imported.Transfer, decoder: Mapping[str, Any]) -> str:
  """Moves the bridge, if there is one; its name."""
  if f"{BRIDGE}weight" in transfer:
    transfer.transpose(f"{BRIDGE}weight", "decoder/start_bridge/layer/kernel")
    transfer.move(f"{BRIDGE}bias", "decoder/start_bridge/layer/bias")
    return "dense_top"
  return "top" if decoder.get("init_hidden") == "last" else "zero"


def notes(model: Mapping[str, Any], tie: str) -> list[str]:
  """What a user must know of the model."""
  out = []
  if model.get("tied_softmax") and tie == "none":
    out.append(
      "softmax and target embeddings were one matrix; they are two here"
    )
  if model.get("tied_embeddings") and tie != "all":
    out.append("the embeddings of both sides were one; they are two here")
  return out
