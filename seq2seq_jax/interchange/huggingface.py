"""Format `huggingface`: BERT, RoBERTa, GPT-2, and encoder-decoders of them.

A folder with config.json, model.safetensors (or pytorch_model.bin) and the
tokenizer's files. GPT-2 becomes a language model; an encoder-decoder what it
is; BERT and RoBERTa one of `PARTS`.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from seq2seq_jax import config, records, types
from seq2seq_jax.data import sides, vocabulary
from seq2seq_jax.interchange import (
  formats,
  huggingface_arrays,
  huggingface_config,
  huggingface_words,
  imported,
  safetensors_files,
  torch_files,
)

Stack = huggingface_config.Stack
Words = huggingface_words.Words
PARTS = ("encoder", "decoder", "both")
"""Of a BERT: an encoder below a new recurrent decoder, a language model, or
both with new attentions between them (Rothe et al. 2020)."""
_PREFIXES = {"bert": "bert.", "roberta": "roberta.", "gpt2": "transformer."}
_CROSS = (
  "params/decoder/layer_*/cross/*",
  "params/decoder/layer_*/cross_norm/*",
)
_NO_DROPOUT = (
  "the weights of attentions are not dropped out in training, as theirs are"
)
_TYPES = (
  "a text is of type 0, whose vector is part of those of positions; training "
  "changes their sum"
)


class _Source(NamedTuple):
  """What lies in a folder."""

  folder: pathlib.Path
  fields: dict[str, Any]
  transfer: imported.Transfer
  options: formats.Options


def read(path: pathlib.Path, options: formats.Options) -> imported.Imported:
  """The model of a folder.

  Args:
    path: of the folder, or of a file in it.
    options: `vocabulary`, `source_vocab` and `target_vocab`, folders or files
      of tokenizers; `part`, one of `PARTS`.

  Raises:
    types.UserError: a file is missing or damaged, or the model has something
      that ours cannot have.
  """
  folder = path if path.is_dir() else path.parent
  fields = records.read(folder / "config.json", dict[str, Any])
  place = str(folder / "config.json")
  kind = huggingface_config.kind_of(fields, place)
  part = options.part
  if part is not None and (
    part not in PARTS or kind not in ("bert", "roberta")
  ):
    of = f"one of {', '.join(PARTS)}" if kind in _PREFIXES else "for one BERT"
    raise types.UserError(f"--part {part}: is {of}, and this is {kind}")
  arrays = huggingface_arrays.renamed(_arrays(folder))
  source = _Source(folder, fields, imported.Transfer(arrays, folder), options)
  for pattern, why in huggingface_arrays.IGNORED.items():
    source.transfer.ignore(pattern, why)
  if kind == huggingface_config.PAIR:
    return _pair(source)
  stack = huggingface_config.stack(fields, place)
  prefix = _prefix(source.transfer, stack, "")
  if part is None:
    part = "decoder" if stack.causal else "encoder"
  if part == "decoder":
    return _language_model(source, stack, prefix)
  if part == "both":
    return _both(source, stack, prefix)
  return _encoder(source, stack, prefix)


def _arrays(folder: pathlib.Path) -> Mapping[str, np.ndarray]:
  """All arrays of a folder by their names."""
  torch = folder / "pytorch_model.bin"
  names = (safetensors_files.FILE, safetensors_files.INDEX)
  if any((folder / name).exists() for name in names):
    return safetensors_files.read_folder(folder)
  if torch.exists():
    return torch_files.arrays(torch_files.read(torch), torch)
  raise types.UserError(
    f"{folder}: has neither {names[0]} nor {torch.name}; save the model with "
    "save_pretrained(DIR, safe_serialization=True)"
  )


def _prefix(transfer: imported.Transfer, stack: Stack, above: str) -> str:
  """What stands before the names of a stack's arrays."""
  word = "embeddings.word_embeddings.weight"
  if stack.kind == "gpt2":
    word = "wte.weight"
  for prefix in (above, above + _PREFIXES[stack.kind]):
    if prefix + word in transfer:
      return prefix
  raise types.UserError(
    f"{transfer.place}: has no array {above}{_PREFIXES[stack.kind]}{word}, so "
    f"it is no {stack.kind}"
  )


def _words(
  source: _Source, stack: Stack, side: str, start: Any = None, end: Any = None
) -> Words:
  """The vocabulary of one side."""
  own = getattr(source.options, f"{side}_vocab")
  path = own or source.options.vocabulary or source.folder
  flag = f"--{side}-vocab"
  return huggingface_words.read(stack, path, flag, start, end)


def _encode(source: _Source, stack: Stack, prefix: str, words: Words) -> None:
  """Takes an encoder's arrays."""
  reader = huggingface_arrays.Reader(source.transfer, stack, prefix, "encoder")
  reader.words("embed/table/table", words.order, words.added)
  reader.body()


def _decode(
  source: _Source, stack: Stack, prefix: str, head: str, words: Words
) -> config.Transformer:
  """Takes a decoder's arrays; returns its sizes."""
  reader = huggingface_arrays.Reader(source.transfer, stack, prefix, "decoder")
  reader.words("embed_table/table", words.order, words.added)
  reader.body()
  whole = huggingface_arrays.softmax(
    source.transfer, stack, head, words.order, words.added
  )
  if whole or stack.kind == "gpt2":
    return stack.sizes
  return dataclasses.replace(stack.sizes, transform="none")


def _plain(stack: Stack) -> config.Transformer:
  """Sizes of an encoder, which has no transform."""
  return dataclasses.replace(stack.sizes, transform="none")


def _tie(stack: Stack) -> Any:
  return "decoder" if stack.tied else "none"


def _language_model(
  source: _Source, stack: Stack, prefix: str
) -> imported.Imported:
  """A decoder alone."""
  reader = huggingface_arrays.Reader(source.transfer, stack, prefix, "decoder")
  if reader.crosses():
    raise types.UserError(
      f"{source.folder}: has attentions to a source (crossattention), but no "
      "encoder; convert the whole encoder-decoder"
    )
  words = _words(source, stack, "target")
  sizes = _decode(source, stack, prefix, "", words)
  data = config.Data(
    task="language_model",
    train=("train.txt",),
    target=config.Text(tokenizer="pretrained"),
    max_target_length=sizes.max_positions,
  )
  model = config.Model(
    embed_dim=sizes.dim,
    decoder=config.Decoder(kind="transformer"),
    transformer=sizes,
    tie=_tie(stack),
  )
  return source.transfer.result(
    imported.config_of(model, data),
    vocabulary.Vocabularies(
      sides.NoSource(), sides.TargetText(words.tokenizer)
    ),
    notes=(_NO_DROPOUT,) + ((_TYPES,) if stack.kind != "gpt2" else ()),
  )


def _pairs(
  source: _Source,
  model: config.Model,
  words: tuple[Words, Words],
  fresh: tuple[str, ...] = (),
  notes: tuple[str, ...] = (),
) -> imported.Imported:
  """An encoder and a decoder; a source reads BOS, its words, EOS."""
  first, second = (w.tokenizer for w in words)
  joint = first.checksum() == second.checksum()
  text = config.Text(tokenizer="pretrained")
  places = model.transformer.max_positions
  data = config.Data(
    task="pairs",
    source=text,
    target=text,
    joint=joint,
    source_ends="bos_eos",
    max_source_length=places,
    max_target_length=model.decoder_transformer().max_positions,
  )
  conf = dataclasses.replace(
    imported.config_of(model, data),
    decode=config.Decode(max_source_length=places),
  )
  vocabularies = vocabulary.Vocabularies(
    sides.SourceText(first, ends=data.source_ends),
    sides.TargetText(first if joint else second),
    joint=joint,
  )
  notes = (_NO_DROPOUT, _TYPES, *notes)
  return source.transfer.result(conf, vocabularies, fresh=fresh, notes=notes)


def _encoder(source: _Source, stack: Stack, prefix: str) -> imported.Imported:
  """An encoder below a decoder that is to be trained."""
  words = _words(source, stack, "source")
  _encode(source, stack, prefix, words)
  for pattern in ("cls.*", "lm_head.*"):
    source.transfer.ignore(pattern, "of a decoder (--part decoder, both)")
  width = stack.sizes.dim
  model = config.Model(
    embed_dim=width,
    encoder=config.Encoder(kind="transformer"),
    decoder=config.Decoder(cell="gru", dim=width, bridge="mean"),
    readout=config.Readout(dim=width),
    transformer=_plain(stack),
    tie="decoder",
  )
  note = (
    "the decoder is new: train this run's model, or take its encoder alone "
    "(train.init_from with data.vocabulary)"
  )
  return _pairs(source, model, (words, words), ("params/decoder/*",), (note,))


def _both(source: _Source, stack: Stack, prefix: str) -> imported.Imported:
  """An encoder and a decoder from the same arrays."""
  words = _words(source, stack, "source")
  _encode(source, stack, prefix, words)
  sizes = _decode(source, stack, prefix, "", words)
  model = config.Model(
    embed_dim=sizes.dim,
    encoder=config.Encoder(kind="transformer"),
    decoder=config.Decoder(kind="transformer"),
    transformer=sizes,
    tie=_tie(stack),
  )
  note = "the attentions between encoder and decoder are new: train the model"
  return _pairs(source, model, (words, words), _CROSS, (note,))


def _pair(source: _Source) -> imported.Imported:
  """An encoder-decoder."""
  place = str(source.folder / "config.json")
  stacks = []
  for name in ("encoder", "decoder"):
    fields = source.fields.get(name)
    if not isinstance(fields, dict):
      raise types.UserError(f"{place}: has no section {name}")
    stacks.append(huggingface_config.stack(fields, f"{place}: {name}"))
  first, second = stacks
  if first.causal:
    raise types.UserError(
      f"{place}: encoder is a {first.kind} that sees no later word; ours sees "
      "all"
    )
  prefix = _prefix(source.transfer, second, "decoder.")
  start = source.fields.get("decoder_start_token_id")
  end = source.fields.get("eos_token_id")
  words = (
    _words(source, first, "source"),
    _words(source, second, "target", start, end),
  )
  _encode(source, first, _prefix(source.transfer, first, "encoder."), words[0])
  sizes = _decode(source, second, prefix, "decoder.", words[1])
  if first.sizes.dim != second.sizes.dim:
    transfer = source.transfer
    transfer.transpose("enc_to_dec_proj.weight", "decoder/memory_entry/kernel")
    transfer.move("enc_to_dec_proj.bias", "decoder/memory_entry/bias")
  model = config.Model(
    embed_dim=first.sizes.dim,
    encoder=config.Encoder(kind="transformer"),
    decoder=config.Decoder(
      kind="transformer",
      sizes="own",
      transformer=sizes,
      embed_dim=sizes.dim,
    ),
    transformer=_plain(first),
    tie=_tie(second),
  )
  return _pairs(source, model, words)
