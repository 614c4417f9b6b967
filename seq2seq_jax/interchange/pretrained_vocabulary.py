"""The files of a pretrained model's tokenizer, as one definition."""

import pathlib
from typing import Any

from seq2seq_jax import records, types
from seq2seq_jax.data import pretrained_tokenizer


def definition(path: pathlib.Path) -> str | None:
  """The content of a tokenizer.json; None if a folder has no tokenizer.

  Args:
    path: a tokenizer.json or vocab.txt, or a folder with tokenizer.json, else
      with vocab.txt (BERT), or with vocab.json and merges.txt (GPT-2, RoBERTa),
      and tokenizer_config.json beside them.

  Raises:
    types.UserError: a file cannot be read, or the package is missing.
  """
  if path.is_file():
    folder, names = path.parent, {path.name}
    if path.suffix == ".txt":
      return _wordpiece(path, _options(folder))
    if path.name != "vocab.json":
      return _text(path)
    names.add("merges.txt")
  elif path.is_dir():
    folder, names = path, {p.name for p in path.iterdir()}
  else:
    raise types.UserError(f"{path}: no such file or folder")
  if "tokenizer.json" in names:
    return _text(folder / "tokenizer.json")
  if "vocab.txt" in names:
    return _wordpiece(folder / "vocab.txt", _options(folder))
  if {"vocab.json", "merges.txt"} <= names:
    return _byte_level(
      folder / "vocab.json", folder / "merges.txt", _options(folder)
    )
  return None


def tokens(definition: str, place: pathlib.Path) -> dict[str, int]:
  """The model's own ids of all tokens.

  Raises:
    types.UserError: the definition is damaged; the message names `place`.
  """
  try:
    return pretrained_tokenizer.vocabulary(definition)
  except ValueError as e:
    line = (str(e).splitlines() or ["damaged"])[0]
    raise types.UserError(f"{place}: is no tokenizer ({line[:200]})") from e


def _text(path: pathlib.Path) -> str:
  try:
    return records.content(path).decode()
  except UnicodeDecodeError as e:
    raise types.UserError(f"{path}: is not UTF-8") from e


def _options(folder: pathlib.Path) -> dict[str, Any]:
  """What tokenizer_config.json says; nothing if there is none."""
  path = folder / "tokenizer_config.json"
  found: dict[str, Any] = {}
  if path.is_file():
    found = records.read(path, dict[str, Any])
  return found


def _wordpiece(path: pathlib.Path, options: dict[str, Any]) -> str:
  """BERT's: one token a line, the longest first."""
  package = pretrained_tokenizer.library()
  lines = _text(path).removesuffix("\n").split("\n")
  ids = {line.rstrip("\r"): i for i, line in enumerate(lines)}
  model = package.Tokenizer(
    package.models.WordPiece(
      ids, unk_token="[UNK]", max_input_chars_per_word=100
    )
  )
  model.normalizer = package.normalizers.BertNormalizer(
    clean_text=True,
    handle_chinese_chars=options.get("tokenize_chinese_chars", True),
    strip_accents=options.get("strip_accents"),
    lowercase=options.get("do_lower_case", True),
  )
  model.pre_tokenizer = package.pre_tokenizers.BertPreTokenizer()
  model.decoder = package.decoders.WordPiece(prefix="##")
  return str(model.to_str())


def _byte_level(
  vocabulary: pathlib.Path, merges: pathlib.Path, options: dict[str, Any]
) -> str:
  """GPT-2's: BPE of bytes."""
  package = pretrained_tokenizer.library()
  ids = records.read(vocabulary, dict[str, int])
  pairs = [
    tuple(line.rstrip("\r").split(" "))
    for line in _text(merges).split("\n")
    if line.strip() and not line.startswith("#version")
  ]
  try:
    model = package.Tokenizer(package.models.BPE(ids, pairs))
  except Exception as e:  # the package raises Exception itself
    line = (str(e).splitlines() or ["damaged"])[0]
    raise types.UserError(
      f"{vocabulary}: does not go with {merges.name} ({line[:200]})"
    ) from e
  model.pre_tokenizer = package.pre_tokenizers.ByteLevel(
    add_prefix_space=bool(options.get("add_prefix_space", False))
  )
  model.decoder = package.decoders.ByteLevel()
  return str(model.to_str())
