"""Format `fairseq`: recurrent models (`lstm`) of fairseq.

A checkpoint has options and weights; the dictionaries are files dict.LANG.txt
of the prepared data. Targets begin with </s>; the readout is over [context;
state], without a bias.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.interchange import (
  formats,
  imported,
  toolkit_options,
  toolkit_words,
  torch_cells,
  torch_files,
)

CHECKPOINT = "checkpoint_best.pt"
SOURCE_TABLE, TARGET_TABLE = (
  "encoder.embed_tokens.weight",
  "decoder.embed_tokens.weight",
)
READOUT = "decoder.attention.output_proj.weight"
OUTPUT, ADDED = "decoder.fc_out.", "decoder.additional_fc."
BRIDGE = {
  "leaf_0": "decoder.encoder_cell_proj.",
  "leaf_1": "decoder.encoder_hidden_proj.",
}
# Ids that every dictionary begins with; its file has the others.
RESERVED = ("<s>", "<pad>", "</s>", "<unk>")
SPECIALS = toolkit_words.Specials(pad=1, bos=0, eos=2, unk=3)


def read(path: pathlib.Path, options: formats.Options) -> imported.Imported:
  """The model of a checkpoint of fairseq, or of the folder that holds it.

  Args:
    path: the file, or its folder.
    options: `checkpoint`, by default checkpoint_best.pt; `vocabulary`, the
      folder with the dictionaries, by default the checkpoint's; `source_vocab`
      and `target_vocab`, by default dict.LANG.txt of the model's languages.

  Raises:
    types.UserError: a file is missing or is none of fairseq's, or the model has
      a part that ours cannot have.
  """
  file = path / (options.checkpoint or CHECKPOINT) if path.is_dir() else path
  content = torch_files.read(file)
  if not isinstance(content, Mapping) or "model" not in content:
    raise types.UserError(
      f"{file}: is no checkpoint of fairseq, which has a model"
    )
  args = read_args(content, file)
  folder = options.vocabulary or file.parent
  lists = []
  for named, field in (
    (options.source_vocab, "source_lang"),
    (options.target_vocab, "target_lang"),
  ):
    lang = args.get(field)
    if named is None and not isinstance(lang, str):
      flag = field.replace("lang", "vocab").replace("_", "-")
      raise types.UserError(
        f"{file}: does not say its {field}; name the dictionary by --{flag}"
      )
    lists.append(word_list(named or folder / f"dict.{lang}.txt"))
  return converted(
    torch_files.arrays(content["model"], file), args, lists[0], lists[1], file
  )


def read_args(content: Mapping[str, Any], place: Any) -> Mapping[str, Any]:
  """The options of a checkpoint: `args`, or since 0.10 those in `cfg`.

  Raises:
    types.UserError: it has none.
  """
  args = toolkit_options.fields(content.get("args"))
  if args:
    return args
  cfg = toolkit_options.fields(content.get("cfg"))
  model, task = (
    toolkit_options.fields(cfg.get(name)) for name in ("model", "task")
  )
  if not model:
    raise types.UserError(
      f"{place}: is no checkpoint of fairseq, which has args or cfg.model"
    )
  return {**task, **model}


def word_list(path: pathlib.Path) -> toolkit_words.WordList:
  """The words of a dictionary: a line has a word and its count.

  Raises:
    types.UserError: a line is another one.
  """
  words = list(RESERVED)
  for n, line in enumerate(toolkit_words.read_lines(path), 1):
    line = line.removesuffix(" #fairseq:overwrite")
    word, _, number = line.rpartition(" ")
    if not word or not number.isdecimal():
      raise types.UserError(
        f"{path}, line {n}: is no word and its count, as in fairseq's "
        "dictionaries"
      )
    words.append(word)
  return toolkit_words.WordList(words, SPECIALS, str(path))


def converted(
  arrays: Mapping[str, np.ndarray],
  args: Mapping[str, Any],
  source: toolkit_words.WordList,
  target: toolkit_words.WordList,
  place: Any,
) -> imported.Imported:
  """The model in our terms.

  Args:
    arrays: `model` of the checkpoint.
    args: options of the training.
    source: words of the source.
    target: words of the target.
    place: the file, for messages.

  Raises:
    types.UserError: the model has a part that ours cannot have.
  """
  transfer = imported.Transfer(arrays, place)
  check_supported(transfer, args)
  transfer.ignore("*.version", "a number of fairseq's")
  transfer.ignore("*_float_tensor", "a number of fairseq's")
  encoder = torch_cells.move_encoder(transfer, "encoder.lstm")
  embed = transfer.take(TARGET_TABLE, len(target.words), None).shape[1]
  decoder = torch_cells.move_decoder(transfer, "decoder.layers.{1}.{0}", embed)
  if encoder["layers"] != decoder["layers"]:
    raise types.UserError(
      f"{place}: the encoder has {encoder['layers']} layers, the decoder "
      f"{decoder['layers']}; its layers start from those of the same height"
    )
  memory = encoder["dim"] * (2 if encoder["direction"] == "both" else 1)
  decoder["bridge"] = move_bridge(transfer)
  attends = READOUT in transfer
  if attends:
    move_attention(transfer, decoder["dim"], memory)
  move_words(transfer, source, target)
  model = config.Model(
    embed_dim=transfer.take(SOURCE_TABLE).shape[1],
    encoder=config.Encoder(**encoder),
    decoder=config.Decoder(**decoder),
    attention=config.Attention(score="general" if attends else "none"),
    readout=config.Readout(kind="tanh", dim=decoder["dim"])
    if attends
    else config.Readout(kind="linear", inputs="state"),
  )
  data = toolkit_words.data_of(source, target)
  return transfer.result(
    imported.config_of(model, data),
    toolkit_words.vocabularies(source, target, data),
    notes=[*notes(args), *toolkit_words.notes(source, target)],
  )


def check_supported(
  transfer: imported.Transfer, args: Mapping[str, Any]
) -> None:
  """Refuses what ours cannot have.

  Raises:
    types.UserError: names the option or the array.
  """
  place = transfer.place
  arch = str(args.get("arch") or args.get("_name") or "lstm")
  if not arch.startswith("lstm") or arch.startswith("lstm_lm"):
    raise types.UserError(
      f"{place}: the architecture is {arch}; only lstm can be expressed"
    )
  if args.get("residuals"):
    raise types.UserError(
      f"{place}: the option residuals adds a layer's state of the step before "
      "to its output, which ours cannot"
    )
  if any(
    name.startswith("decoder.adaptive_softmax") for name in transfer.arrays
  ):
    raise types.UserError(
      f"{place}: has an adaptive softmax, which ours does not have"
    )
  for name in ("encoder.lstm.weight_ih_l0", TARGET_TABLE):
    if name not in transfer:
      raise types.UserError(
        f"{place}: is no encoder-decoder of fairseq's lstm: it has no {name}"
      )


def move_bridge(transfer: imported.Transfer) -> str:
  """Moves the bridge, which there is where the widths differ; its name."""
  if f"{BRIDGE['leaf_1']}weight" not in transfer:
    return "last"
  for leaf, name in BRIDGE.items():
    path = f"decoder/start_bridge/{leaf}"
    transfer.transpose(f"{name}weight", f"{path}/kernel")
    transfer.move(f"{name}bias", f"{path}/bias")
  return "linear"


def move_attention(
  transfer: imported.Transfer, width: int, memory: int
) -> None:
  """Moves attention and readout.

  Args:
    transfer: from the arrays to the parameters.
    width: of the decoder's state.
    memory: width of the encoder's outputs.
  """
  query = "decoder.attention.input_proj.weight"
  # (W s) h is s W^T h: our key is W as it is.
  transfer.take(query, memory, width)
  transfer.move(query, "decoder/attention/score/key")
  kernel = transfer.take(READOUT, width, memory + width)
  transfer.put(
    "decoder/readout_layer/kernel",
    torch_cells.state_first(kernel, memory),
    READOUT,
    how="[state; context], transposed",
  )
  zeros = np.zeros(width, np.float32)
  path = "decoder/readout_layer/bias"
  transfer.put(path, zeros, how="fairseq has none: zeros")


def move_words(
  transfer: imported.Transfer,
  source: toolkit_words.WordList,
  target: toolkit_words.WordList,
) -> None:
  """Moves what has a row a word: embeddings and softmax.

  A decoder begins with the embedding of </s>, but <s> is a word of the softmax:
  what the two share is therefore two here.
  """
  for name, side, start, path in (
    (SOURCE_TABLE, source, None, "encoder/embed/table/table"),
    (TARGET_TABLE, target, SPECIALS.eos, "decoder/embed_table/table"),
  ):
    table = transfer.take(name, None, None)
    side.check(name, len(table), transfer.place)
    how = "rows in our order"
    if start is not None:
      how += ", that of BOS a copy of EOS's"
    transfer.put(path, side.table(table, start), name, how=how)
  shared = f"{OUTPUT}weight" not in transfer
  names = [TARGET_TABLE] if shared else [f"{OUTPUT}weight", f"{OUTPUT}bias"]
  kernel = transfer.take(names[0], len(target.words), None)
  bias = np.zeros(len(kernel), np.float32)
  if not shared:
    bias = transfer.take(names[1], len(kernel))
  how = "rows in our order, transposed"
  if f"{ADDED}weight" in transfer:
    # Two layers without anything between them are one.
    inner = transfer.take(f"{ADDED}weight", kernel.shape[1], None)
    bias = bias + kernel @ transfer.take(f"{ADDED}bias", kernel.shape[1])
    kernel = kernel @ inner
    names += [f"{ADDED}weight", f"{ADDED}bias"]
    how = f"two layers as one, {how}"
  transfer.put("decoder/head/kernel", target.table(kernel).T, *names, how=how)
  transfer.put("decoder/head/bias", target.biases(bias), *names, how=how)


def notes(args: Mapping[str, Any]) -> list[str]:
  """What a user must know of the model."""
  out = []
  shared = args.get("share_all_embeddings")
  if shared or args.get("share_decoder_input_output_embed"):
    out.append(
      "softmax and target embeddings were one matrix; they are two here"
    )
  if shared:
    out.append("the embeddings of both sides were one; they are two here")
  return out
