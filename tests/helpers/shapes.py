"""Run-time checks of the jaxtyping annotations, for tests.

`install()` makes every annotated function of `PACKAGES` check the shapes and
types of its arguments and results, each letter being one size within a call.
Records (`types.Memory`, ...) are checked field by field where a function takes
or returns them: a NamedTuple cannot be checked when it is made, since JAX also
makes it with other things than arrays as its leaves.
"""

import functools
import inspect
import typing

import beartype
import jaxtyping

from seq2seq_jax import types

PACKAGES = ("seq2seq_jax.models", "seq2seq_jax.decoding")
RECORDS = (
  types.Batch,
  types.Memory,
  types.StepOutput,
  types.Hypotheses,
)
CHECKER = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))


def install() -> None:
  """Checks what is imported of the packages from now on."""
  jaxtyping.install_import_hook(PACKAGES, f"{__name__}.checked")


def checked(function):
  """The type checker that jaxtyping wraps each function in."""
  if isinstance(function, type):
    return function  # a Linen module's fields are checked where it uses them
  inner = CHECKER(function)
  signature = inspect.signature(function)
  taken = {
    name: p.annotation
    for name, p in signature.parameters.items()
    if p.annotation in RECORDS
  }
  returned = signature.return_annotation
  if not taken and returned not in RECORDS:
    return inner

  @functools.wraps(function)
  def wrapper(*args, **kwargs):
    if taken:
      bound = signature.bind(*args, **kwargs).arguments
      for name in taken:
        if name in bound:
          check(bound[name], f"{function.__qualname__}, {name}")
    result = inner(*args, **kwargs)
    if returned in RECORDS:
      check(result, f"{function.__qualname__}, result")
    return result

  return wrapper


def check(record, where: str) -> None:
  """Raises if a field of the record has another shape than it promises.

  Letters keep the sizes they have had in the call around it.
  """
  for name, annotation in _fields(type(record)).items():
    value = getattr(record, name)
    if not any(_fits(value, kind) for kind in annotation):
      shape = getattr(value, "shape", type(value))
      raise TypeError(
        f"{where}: {type(record).__name__}.{name} is {shape}, "
        f"not {' or '.join(map(str, annotation))}"
      )


@functools.cache
def _fields(record) -> dict[str, tuple]:
  """Alternatives of each field whose annotation is a shape."""
  out = {}
  for name, annotation in typing.get_type_hints(record).items():
    kinds = typing.get_args(annotation) or (annotation,)
    kinds = tuple(k for k in kinds if k is type(None) or _is_shape(k))
    if any(_is_shape(k) for k in kinds):
      out[name] = kinds
  return out


def _is_shape(annotation) -> bool:
  return isinstance(annotation, type) and issubclass(
    annotation, jaxtyping.AbstractArray
  )


def _fits(value, kind) -> bool:
  return isinstance(value, kind)
