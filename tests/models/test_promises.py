"""Parts of the user's own that break their promises: one message each."""

import re

import jax
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import build
from tests.helpers.small_models import SMALL, VOCAB, example

pytestmark = pytest.mark.quick

PARTS = """
import jax.numpy as jnp
from seq2seq_jax.models import attention_scores, bridges, cell

class NoGates(cell.Cell):
  leaves = 1
  def update(self, carry, z, masks): return carry

class NoUpdate(cell.Cell):
  gates = leaves = 1

class Half(cell.Cell):
  gates, leaves = 1, 2
  def update(self, carry, z, masks): return (carry[0],)

class Wide(cell.Cell):
  gates = leaves = 1
  def update(self, carry, z, masks): return (jnp.concatenate([z, z], -1),)

class NoCall(attention_scores.Score):
  pass

class Summed(attention_scores.Score):
  def __call__(self, query, keys, state=None):
    return jnp.einsum("bqd,bsd->bs", query, keys[..., : query.shape[-1]])

class NoBridge(bridges.Bridge):
  pass

class OneLayer(bridges.Bridge):
  def __call__(self, memory, fixed):
    return self.first_cell.zero_carry(memory.mask.shape[0], 1)

Score = attention_scores.Score
NUMBER = 5
"""


def initialized(field: str, name: str, tmp_path) -> None:
  # Equal contents are one module, the file that was read first.
  (tmp_path / "parts.py").write_text(f"{PARTS}# {tmp_path}")
  changes = {field: f"{tmp_path}/parts.py:{name}", "decoder.bridge": "zero"}
  if field == "decoder.bridge":
    del changes["decoder.bridge"]
    changes[field] = f"{tmp_path}/parts.py:{name}"
  model = build.build(config.replace(SMALL, changes), VOCAB, VOCAB)
  jax.eval_shape(
    lambda key: model.init(key, example(), method="initialize"),
    jax.random.key(0),
  )


@pytest.mark.parametrize(
  ("field", "name", "message"),
  [
    ("encoder.cell", "NoGates", "gates must be a whole number of at least 1"),
    ("encoder.cell", "NoUpdate", "must define update, see .*models.cell.Cell"),
    ("encoder.cell", "Half", "update must return a tuple of arrays of shape"),
    ("encoder.cell", "Wide", "update must return a tuple of arrays of shape"),
    ("encoder.cell", "NoCall", "must be a subclass of .*models.cell.Cell"),
    ("encoder.cell", "NUMBER", "must be a subclass of .*models.cell.Cell"),
    ("attention.score", "NoCall", "must define __call__"),
    ("attention.score", "Score", "is .*Score itself; it must be a subclass"),
    ("attention.score", "Summed", r"__call__ must return scores \[B, Q, M\]"),
    ("decoder.bridge", "NoBridge", "must define __call__"),
    ("decoder.bridge", "OneLayer", "__call__ must return a tuple of arrays"),
  ],
)
def test_a_part_that_breaks_its_promise(field, name, message, tmp_path):
  with pytest.raises(types.UserError) as caught:
    initialized(field, name, tmp_path)
  told = str(caught.value)
  assert re.fullmatch(f"{tmp_path}/parts.py:{name}: .*{message}.*", told)
