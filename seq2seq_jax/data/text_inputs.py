"""What a trained model of text is given: the lines of files."""

from collections.abc import Iterator
from typing import Any, ClassVar

from seq2seq_jax import types
from seq2seq_jax.data import text_files


class Lines:
  """How sides of text read what is to be answered."""

  item: ClassVar[str] = "line"
  unit: ClassVar[str] = "tokens"
  asked: ClassVar[str] = "a sentence"

  def accept(self, value: Any) -> Any:
    return value

  def inputs(self, path: str | None) -> Iterator[types.Input]:
    name = path or "standard input"
    lines = text_files.read(path) if path else text_files.standard_input()
    return (
      types.Input(line, f"{name}, line {number:,}")
      for number, line in enumerate(lines, 1)
    )

  @staticmethod
  def reference(value: Any) -> str | None:
    return None

  def record(self, value: Any) -> dict[str, Any]:
    return {"source": value or ""}

  def picture(self, value: Any) -> types.Picture | None:
    return None
