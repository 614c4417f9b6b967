"""A model of another program in our terms, and a record of what went where."""

import dataclasses
import fnmatch
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.traverse_util
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import vocabulary

Path = pathlib.Path


class Move(NamedTuple):
  """Arrays of a source that became one parameter."""

  sources: tuple[str, ...]
  """Their names there; empty for values that are ours."""
  path: str
  """Of the parameter: `params/encoder/forward_0/kernel`."""
  how: str
  """What was done to them, in words; empty: nothing."""


@dataclasses.dataclass(frozen=True)
class Imported:
  """A model of another program, ready to be written as a workdir."""

  config: config.Config
  vocabularies: vocabulary.Vocabularies
  params: Any
  """Nested dicts of float32 arrays below `params`."""
  moves: Sequence[Move] = ()
  ignored: Mapping[str, str] = dataclasses.field(default_factory=dict)
  """Name of each array of the source that is not used -> why."""
  unused: Sequence[str] = ()
  """Names of arrays that were neither used nor ignored; any is an error."""
  fresh: Sequence[str] = ()
  """Patterns (`params/decoder/layer_*/cross/*`) of parameters that the source
  does not have; they are initialised anew."""
  notes: Sequence[str] = ()
  """What a user must know: a licence, a difference that remains."""


class Transfer:
  """Arrays of a source on their way into parameters; remembers both."""

  def __init__(
    self, arrays: Mapping[str, np.ndarray], place: str | Path
  ) -> None:
    """Of the arrays of a file.

    Args:
      arrays: by their names there.
      place: the file, for messages.
    """
    self.arrays, self.place = arrays, str(place)
    self.moves: list[Move] = []
    self.ignored: dict[str, str] = {}
    self._params: dict[str, np.ndarray] = {}
    self._used: set[str] = set()

  def __contains__(self, name: str) -> bool:
    return name in self.arrays

  def take(self, name: str, *shape: int | None) -> np.ndarray:
    """An array of the source as float32, which counts as used.

    Args:
      name: of the array.
      *shape: that it must have, None for any length; nothing: any shape.

    Raises:
      types.UserError: it is not there, of another shape, or not of numbers.
    """
    if name not in self.arrays:
      raise types.UserError(f"{self.place}: has no array {name}")
    array = np.asarray(self.arrays[name])
    # bfloat16 is of NumPy's kind V, and converts.
    if array.dtype.kind not in "fV" or array.dtype.names:
      raise types.UserError(
        f"{self.place}: {name} holds {array.dtype}, no floating-point numbers"
      )
    fits = len(shape) == array.ndim and all(
      n in (None, m) for n, m in zip(shape, array.shape)
    )
    if shape and not fits:
      shown = ", ".join("any" if n is None else str(n) for n in shape)
      raise types.UserError(
        f"{self.place}: {name} must have the shape [{shown}], but has "
        f"{list(array.shape)}"
      )
    self._used.add(name)
    return array.astype(np.float32)

  def put(
    self, path: str, value: np.ndarray, *sources: str, how: str = ""
  ) -> None:
    """Sets a parameter.

    Args:
      path: below `params/`: `encoder/embed/table/table`.
      value: of the parameter.
      *sources: the arrays that it was made of.
      how: what was done to them.
    """
    full = f"params/{path}"
    assert full not in self._params, f"{full} is set twice"
    self._params[full] = np.ascontiguousarray(value, np.float32)
    self.moves.append(Move(sources, full, how))

  def move(
    self,
    name: str,
    path: str,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
    how: str = "",
  ) -> None:
    """Takes one array and sets one parameter, changed if there is a change."""
    value = self.take(name)
    self.put(path, value if change is None else change(value), name, how=how)

  def transpose(self, name: str, path: str) -> None:
    """Takes a matrix [out, in] and sets a kernel [in, out]."""
    value = self.take(name, None, None)
    self.put(path, value.T, name, how="transposed")

  def ignore(self, pattern: str, why: str) -> None:
    """Lets arrays be that no model of ours needs.

    Args:
      pattern: of their names, with `*`.
      why: they are not needed, in words.
    """
    for name in self.arrays:
      if fnmatch.fnmatchcase(name, pattern) and name not in self._used:
        self.ignored[name] = why

  def result(
    self,
    conf: config.Config,
    vocabularies: vocabulary.Vocabularies,
    *,
    fresh: Sequence[str] = (),
    notes: Sequence[str] = (),
  ) -> Imported:
    """The imported model; see `Imported`."""
    known = self._used | self.ignored.keys()
    return Imported(
      config=conf,
      vocabularies=vocabularies,
      params=flax.traverse_util.unflatten_dict(self._params, sep="/"),
      moves=self.moves,
      ignored=self.ignored,
      unused=[name for name in self.arrays if name not in known],
      fresh=fresh,
      notes=notes,
    )


def config_of(model: config.Model, data: config.Data) -> config.Config:
  """The config of an imported model: one update that is never made.

  Plain gradient descent has no slots, so the checkpoint holds nothing but the
  parameters.
  """
  return config.Config(
    data=data,
    model=model,
    optim=config.Optim(optimizer="sgd"),
    train=config.Train(steps=1, validate_every=1),
  )
