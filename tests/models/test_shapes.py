"""Annotated shapes are checked, and the modules are what contracts promise."""

import inspect

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from seq2seq_jax import contracts, types
from seq2seq_jax.models import (
  attention,
  attention_scores,
  decoder,
  encoders,
  heads,
  layers,
  recurrence,
  transformer,
)

pytestmark = pytest.mark.quick

MEMBERS = [
  *((contracts.Encoder, e) for e in (encoders.Encoder, transformer.Encoder)),
  *((contracts.Decoder, d) for d in (decoder.Decoder, transformer.Decoder)),
  *((contracts.Head, head) for head in heads.HEADS.values()),
  *((contracts.Score, score) for score in attention_scores.SCORES.values()),
]


@pytest.mark.parametrize(
  "contract,module",
  MEMBERS,
  ids=[
    f"{c.__name__}-{m.__module__.split('.')[-1]}.{m.__name__}"
    for c, m in MEMBERS
  ],
)
def test_modules_have_what_their_contract_promises(contract, module):
  """Every member, and every parameter under its name, in order."""
  for name in _members(contract):
    promised = getattr(contract, name, None)
    if not inspect.isfunction(promised):
      # An attribute; submodules are made in `setup`.
      assert name == "head" or hasattr(module, name), name
      continue
    wanted = list(inspect.signature(promised).parameters)
    actual = list(inspect.signature(getattr(module, name)).parameters)
    assert actual[: len(wanted)] == wanted, name


def _members(contract):
  own = {**vars(contract), **contract.__annotations__}
  return [
    name for name in own if not name.startswith("_") or name == "__call__"
  ]


@pytest.fixture
def checked(request):
  if request.config.getoption("--no-shapes"):
    pytest.skip("shapes are not checked")


@pytest.mark.usefixtures("checked")
def test_a_wrong_shape_is_refused():
  """Of one argument, of two that do not fit, and of a result."""
  x = jnp.zeros((2, 3, 4))
  with pytest.raises(jaxtyping.TypeCheckError, match="lengths"):
    layers.zero_padding(x, jnp.zeros((2, 1), jnp.int32))
  with pytest.raises(jaxtyping.TypeCheckError, match="lengths"):
    layers.zero_padding(x, jnp.zeros(3, jnp.int32))
  with pytest.raises(jaxtyping.TypeCheckError, match="lengths"):
    layers.zero_padding(x, jnp.zeros(2))  # lengths are integers
  with pytest.raises(jaxtyping.TypeCheckError, match="bias"):
    recurrence.add_bias(x, jnp.zeros(3))
  assert layers.zero_padding(x, jnp.zeros(2, jnp.int32)).shape == x.shape


@pytest.mark.usefixtures("checked")
def test_a_wrong_shape_is_refused_under_transformations():
  run = jax.jit(jax.vmap(layers.zero_padding))
  run(jnp.zeros((5, 2, 3)), jnp.zeros((5, 2), jnp.int32))
  with pytest.raises(jaxtyping.TypeCheckError):
    run(jnp.zeros((5, 2, 3)), jnp.zeros((5, 4), jnp.int32))


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize(
  "field,value",
  [
    ("mask", np.ones((2, 4), bool)),  # another length than the values
    ("mask", np.ones((2, 5), np.float32)),
    ("source", np.ones((3, 5), np.int32)),
    ("values", np.ones((2, 5), np.float32)),
  ],
)
def test_a_record_with_a_wrong_field_is_refused(field, value):
  args = {
    "query_dim": 3,
    "value_dim": 3,
    "dim": 3,
    "init_kind": "xavier",
    "init_scale": 0.1,
    "dtype": jnp.float32,
  }
  module = attention.Attention(attention_scores.Dot, args)
  memory = types.Memory(
    np.ones((2, 5, 3), np.float32), np.ones((2, 5), bool), ()
  )
  query, keys = jnp.ones((2, 1, 3)), jnp.ones((2, 5, 3))
  module.apply({}, query, memory, keys)
  wrong = memory._replace(**{field: value})
  with pytest.raises(jaxtyping.TypeCheckError, match=r"parameter .memory."):
    module.apply({}, query, wrong, keys)
