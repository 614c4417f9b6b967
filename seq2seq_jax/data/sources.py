"""Random-access sources of examples: text files, TFDS sets, pairs in memory.

An example is a pair (source, target) of raw values; the source of a language
model is None.
"""

import functools
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar, cast

from seq2seq_jax import records, types
from seq2seq_jax.data import sides, text_files

Path = str | pathlib.Path
T = TypeVar("T")
Pair = tuple[Any, str]  # source and target, as raw values


class Source(Protocol):
  """Random access to examples."""

  def __len__(self) -> int:
    """Number of examples."""
    ...

  def __getitem__(self, i: int, /) -> Pair:
    """The i-th example."""
    ...

  def checksum(self) -> str:
    """SHA-256 of the content, as 64 hexadecimal digits."""
    ...


class Pairs:
  """Examples in memory, or read through any object with random access.

  Args:
    pairs: a list, tuple or iterator, which is copied, or another object with
      `__len__` and `__getitem__`, which is read when needed.
    place: from an example's index to where it stands, for messages.
  """

  def __init__(
    self,
    pairs: Iterable[Pair],
    place: Callable[[int], str] | None = None,
  ):
    self.place = place or _example_place
    random_access = hasattr(pairs, "__len__") and hasattr(pairs, "__getitem__")
    if not random_access or isinstance(pairs, list | tuple):
      pairs = list(pairs)
    self.pairs: Any = pairs

  def __len__(self) -> int:
    return len(self.pairs)

  def __getitem__(self, i: int, /) -> Pair:
    return self.pairs[i]

  def checksum(self) -> str:
    digest = hashlib.sha256()
    for i in range(len(self)):
      digest.update(b"\t".join(content(self[i])) + b"\n")
    return digest.hexdigest()


def as_source(pairs: Iterable[Pair] | Source, name: str = "train") -> Source:
  """A source of pairs, all of them checked.

  Args:
    pairs: as for `Pairs`; an object with a `checksum` is a source already and
      is returned unchecked.
    name: name of the split, for messages.

  Raises:
    types.UserError: an example is not a pair of a source and a target text.
  """
  if hasattr(pairs, "checksum"):
    return cast(Source, pairs)
  source = Pairs(pairs, functools.partial(_example_place, name=name))
  for i in range(len(source)):
    pair = source[i]
    if not isinstance(pair, tuple | list) or len(pair) != 2:
      raise types.UserError(
        f"{name}: example {i} is not a pair (source, target): {pair!r:.60}"
      )
    if not isinstance(pair[1], str):
      raise types.UserError(
        f"{name}: the target of example {i} is {type(pair[1]).__name__}, not "
        "text"
      )
    sides.kind_of(pair[0])
    for text in pair:
      if isinstance(text, str) and (fault := fault_of(text)):
        raise types.UserError(f"{name}: example {i} holds {fault}")
  return source


def place(source: Source, i: int) -> str:
  """Where the i-th example stands, for messages."""
  place_of = getattr(source, "place", None)  # sources of users may have none
  return place_of(i) if place_of else _example_place(i)


# Functions with names, as worker processes are handed sources pickled.
def _example_place(i: int, name: str = "train") -> str:
  return f"{name}: example {i}, counted from 0"


def _line_place(i: int, path: Path, lines: Sequence[int] | None = None) -> str:
  """Line of the i-th example; `lines` are the examples' if some are skipped."""
  return f"{path}, line {lines[i] if lines else i + 1}"


def fault_of(text: str) -> str | None:
  """What a text holds that no text file can; None if there is nothing."""
  if "\0" in text:
    return "the character U+0000, which is no text"
  try:
    text.encode()
  except UnicodeEncodeError as e:
    return f"half of a character, U+{ord(text[e.start]):04X} alone"
  return None


def content(values: Sequence[Any]) -> tuple[bytes, ...]:
  """A hashable key of raw values, such as a pair; equal for equal values."""
  return tuple(sides.kind_of(value).content(value) for value in values)


def _nonempty(path: Path, lines: list[T]) -> list[T]:
  """Returns the lines; raises an error if there are none."""
  if not lines:
    raise types.UserError(f"{path}: the file is empty")
  return lines


def parallel(source_path: Path, target_path: Path) -> Pairs:
  """Pairs from two text files, line by line."""
  return paired(text_files.read(source_path), source_path, target_path)


def paired(source: list[Any], source_path: Path, target_path: Path) -> Pairs:
  """Pairs of the sources that a file's lines hold and the lines of another."""
  target = text_files.read(target_path)
  if len(source) != len(target):
    raise types.UserError(
      f"{source_path} has {len(source)} lines and {target_path} "
      f"{len(target)}; they must match line by line"
    )
  pairs = _nonempty(source_path, list(zip(source, target)))
  return Pairs(
    pairs,
    functools.partial(_line_place, path=f"{source_path} and {target_path}"),
  )


def lines(path: Path) -> Pairs:
  """Examples of a language model from one text file, a line each."""
  pairs = [(None, text) for text in text_files.read(path)]
  return Pairs(
    _nonempty(path, pairs), functools.partial(_line_place, path=path)
  )


def tsv(
  path: Path, source_column: str, target_column: str, only: str = ""
) -> Pairs:
  """Pairs from columns separated by one TAB, without quoting.

  Args:
    path: path of the file.
    source_column: column number, counted from 0.
    target_column: column number, counted from 0.
    only: `0=fre` selects the rows with `fre` in column 0; empty selects all.

  Raises:
    types.UserError: a column is not a number, or a row lacks it; or no row is
      selected.
  """
  for column in (source_column, target_column):
    if not (column.isascii() and column.isdigit() and len(column) < 10):
      raise types.UserError(
        "data.source_field and data.target_field must be column numbers, "
        f"counted from 0, for task tsv, not {column!r:.40}"
      )
  columns = int(source_column), int(target_column)
  only_column, _, only_value = only.partition("=")
  pairs: list[Pair] = []
  rows: list[int] = []
  for n, line in enumerate(_nonempty(path, text_files.read(path)), 1):
    cells = line.split("\t")
    if only and cells[int(only_column) :][:1] != [only_value]:
      continue
    rows.append(n)
    if not line.strip():
      pairs.append(("", ""))
      continue
    if len(cells) <= max(columns):
      raise types.UserError(
        f"{path}, line {n}: has {len(cells)} column(s), but data.source_field "
        f"or data.target_field names column {max(columns)}, counted from 0"
      )
    pairs.append((cells[columns[0]], cells[columns[1]]))
  if not pairs:
    raise types.UserError(f"{path}: no row matches data.only {only!r}")
  return Pairs(pairs, functools.partial(_line_place, path=path, lines=rows))


def jsonl(path: Path, source_key: str, target_key: str) -> Pairs:
  """Pairs from two keys of the JSON object in each line.

  Raises:
    types.UserError: a line is not JSON or has no text under a key.
  """
  pairs: list[Pair] = []
  for n, line in enumerate(_nonempty(path, text_files.read(path)), 1):
    if not line.strip():
      pairs.append(("", ""))
      continue
    row = records.parse(line, f"{path}, line {n}")
    texts = []
    for key in (source_key, target_key):
      if not isinstance(row, dict) or not isinstance(row.get(key), str):
        keys = "no keys"
        if isinstance(row, dict):
          keys = ", ".join(f"{name:.40}" for name in list(row)[:10])
        raise types.UserError(
          f"{path}, line {n}: no text under {key!r} (it has: {keys}); see "
          "data.source_field and data.target_field"
        )
      if fault := fault_of(row[key]):
        raise types.UserError(f"{path}, line {n}: {key!r} holds {fault}")
      texts.append(row[key])
    pairs.append((texts[0], texts[1]))
  return Pairs(pairs, functools.partial(_line_place, path=path))


class Tfds:
  """A prepared TFDS set, read without TensorFlow.

  Args:
    name: `SET` or `SET/CONFIG`.
    split: a split expression, such as `train[:90%]`.
    source_key: feature of the source text.
    target_key: feature of the target text.
    data_dir: folder of the prepared sets; if empty, TFDS's default.

  Raises:
    types.UserError: the set is not prepared, or has no such split or feature.
  """

  def __init__(
    self,
    name: str,
    split: str,
    source_key: str,
    target_key: str,
    data_dir: str | None = None,
  ):
    self.name, self.split = name, split
    self.keys = (source_key, target_key)
    self.source = _data_source(name, split, data_dir)
    features = self.source.dataset_info.features
    for key in self.keys:
      if key not in features:
        raise types.UserError(
          f"TFDS {name}: no field {key!r}; it has: {', '.join(features)}; see "
          "data.source_field and data.target_field"
        )

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, i: int, /) -> Pair:
    row = self.source[i]
    return self._text(i, row[self.keys[0]]), self._text(i, row[self.keys[1]])

  def place(self, i: int) -> str:
    """Where the i-th example stands, for messages."""
    return f"TFDS {self.name}, split {self.split!r}, example {i}"

  def _text(self, i: int, value: Any) -> str:
    """A field of the i-th example as text."""
    # Prepared files yield bytes, TFDS's mocked ones yield str.
    if isinstance(value, str):
      return value
    where = self.place(i)
    if not isinstance(value, bytes):
      raise types.UserError(
        f"{where}: {' and '.join(self.keys)} must be text, not "
        f"{type(value).__name__}; see data.source_field, data.target_field"
      )
    try:
      return value.decode("utf-8")
    except UnicodeDecodeError as e:
      raise types.UserError(f"{where}: not UTF-8 ({e.reason})") from e

  def checksum(self) -> str:
    """SHA-256 of set, version, split and size; TFDS checks the content."""
    full_name = self.source.dataset_info.full_name
    text = f"{full_name} {self.split} {len(self)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _data_source(name: str, split: str, data_dir: str | None) -> Any:
  """The random-access data source of a prepared set, without TensorFlow."""
  try:
    import array_record  # noqa: F401 (TFDS names it only when it reads)
    import tensorflow_datasets as tfds
  except ImportError as e:
    raise types.UserError(
      f"data.task tfds needs the module {e.name}; install it with "
      "pip install -c constraints.txt -e '.[data]'"
    ) from e
  where = f"TFDS {name}, split {split!r}"
  prepare = f"python -m seq2seq_jax.data.prepare {name}"
  if data_dir:
    prepare += f" --data-dir {data_dir}"
  try:
    source = tfds.data_source(
      name, split=split, data_dir=data_dir or None, download=False
    )
  except Exception as e:  # TFDS raises many types, most of them built-in
    line = (str(e).strip().splitlines() or [type(e).__name__])[0]
    if "length" in line and "0" in line:
      raise types.UserError(f"{where}: has no examples") from e
    if "split" in line:
      raise types.UserError(f"{where}: {line}") from e
    raise types.UserError(
      f"{where}: not prepared as array_record below "
      f"{data_dir or tfds.core.constants.DATA_DIR} ({line}); set the "
      "folder by --data.root or SEQ2SEQ_JAX_DATA, or prepare the set with: "
      f"{prepare}"
    ) from e
  if len(source) == 0:
    raise types.UserError(f"{where}: has no examples")
  return source
