"""Arrays of BERT, RoBERTa and GPT-2 as parameters of our Transformer.

A Linear of PyTorch has a matrix [out, in] and is transposed; GPT-2's Conv1D has
[in, out] and is not. Heads are blocks of columns in both.
"""

from collections.abc import Mapping

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.interchange import huggingface_config, imported

Stack = huggingface_config.Stack
IGNORED = {
  "*position_ids": "a list of positions",
  "*token_type_ids": "a list of zeros",
  "*attn.bias": "a causal mask",
  "*attn.masked_bias": "a constant of the causal mask",
  "*crossattention.bias": "a causal mask",
  "*crossattention.masked_bias": "a constant of the causal mask",
  "*pooler.*": "a head for classes of sentences",
  "*cls.seq_relationship.*": "a head for pairs of sentences",
}
# Files converted from TensorFlow.
_OLD_NAMES = {
  "LayerNorm.gamma": "LayerNorm.weight",
  "LayerNorm.beta": "LayerNorm.bias",
}
NEVER = -1e9
"""Logit of a word that is not one of the model's."""


def renamed(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Arrays by today's names."""
  found = {}
  for name, value in arrays.items():
    for old, new in _OLD_NAMES.items():
      name = name.replace(old, new)
    found[name] = value
  return found


class Reader:
  """Arrays of one stack below a prefix, to parameters below a path.

  Args:
    transfer: takes the arrays and keeps the parameters.
    stack: what config.json says of it.
    prefix: of the arrays' names: `encoder.`, `decoder.bert.`, or nothing.
    path: of the parameters: `encoder` or `decoder`.
  """

  def __init__(
    self, transfer: imported.Transfer, stack: Stack, prefix: str, path: str
  ) -> None:
    self.transfer, self.stack = transfer, stack
    self.prefix, self.path = prefix, path

  def words(self, table: str, order: np.ndarray, copies: np.ndarray) -> None:
    """Embeddings, their rows in our order.

    Args:
      table: path of the parameter.
      order: own id of each of our words, -1 if it has none.
      copies: which of our words are no word of the model's.
    """
    gpt2 = self.stack.kind == "gpt2"
    name = "wte" if gpt2 else "embeddings.word_embeddings"
    width = self.stack.sizes.dim
    rows = self._take(f"{name}.weight", self.stack.words, width)
    how = "rows in our order"
    if copies.any():
      how += f", {copies.sum()} added"
    self._put(table, rows_of(rows, order), f"{name}.weight", how=how)

  def body(self) -> None:
    """Positions and layers."""
    if self.stack.kind == "gpt2":
      self._move("wpe.weight", "places/table")
      self._norm("ln_f", "norm")
    else:
      self._bert_places()
    for i in range(self.stack.sizes.layers):
      (self._gpt2_layer if self.stack.kind == "gpt2" else self._bert_layer)(i)

  def crosses(self) -> bool:
    """Whether the layers have an attention to a source."""
    names = (
      "h.0.crossattention.c_attn.weight",
      "encoder.layer.0.crossattention.self.query.weight",
    )
    return any(self.prefix + name in self.transfer for name in names)

  def _bert_places(self) -> None:
    """Positions; a text is of type 0 alone, which belongs to each of them."""
    sizes, first = self.stack.sizes, self.stack.first_place
    names = (
      "embeddings.position_embeddings.weight",
      "embeddings.token_type_embeddings.weight",
    )
    table = self._take(names[0], first + sizes.max_positions, sizes.dim)
    kinds = self._take(names[1], None, sizes.dim)
    how = "with type 0" + (f", from row {first}" if first else "")
    self._put("places/table", table[first:] + kinds[0], *names, how=how)
    self._norm("embeddings.LayerNorm", "places/norm")

  def _bert_layer(self, i: int) -> None:
    theirs, ours = f"encoder.layer.{i}", f"layer_{i}"
    parts = {"attention": "attention"}
    if self.crosses():
      parts["cross"] = "crossattention"
    for part, name in parts.items():
      for matrix in ("query", "key", "value"):
        self._linear(
          f"{theirs}.{name}.self.{matrix}", f"{ours}/{part}/{matrix}"
        )
      self._linear(f"{theirs}.{name}.output.dense", f"{ours}/{part}/out")
      self._norm(f"{theirs}.{name}.output.LayerNorm", f"{ours}/{part}_norm")
    self._linear(f"{theirs}.intermediate.dense", f"{ours}/feed/up")
    self._linear(f"{theirs}.output.dense", f"{ours}/feed/down")
    self._norm(f"{theirs}.output.LayerNorm", f"{ours}/feed_norm")

  def _gpt2_layer(self, i: int) -> None:
    theirs, ours = f"h.{i}", f"layer_{i}"
    scale = self.stack.query_scale / (i + 1 if self.stack.by_layer else 1)
    three = ("query", "key", "value")
    self._columns(f"{theirs}.attn.c_attn", f"{ours}/attention", three, scale)
    self._columns(f"{theirs}.attn.c_proj", f"{ours}/attention", ("out",))
    self._norm(f"{theirs}.ln_1", f"{ours}/attention_norm")
    if self.crosses():
      name, path = f"{theirs}.crossattention", f"{ours}/cross"
      self._columns(f"{name}.q_attn", path, ("query",), scale)
      self._columns(f"{name}.c_attn", path, ("key", "value"))
      self._columns(f"{name}.c_proj", path, ("out",))
      self._norm(f"{theirs}.ln_cross_attn", f"{ours}/cross_norm")
    self._columns(f"{theirs}.mlp.c_fc", f"{ours}/feed", ("up",))
    self._columns(f"{theirs}.mlp.c_proj", f"{ours}/feed", ("down",))
    self._norm(f"{theirs}.ln_2", f"{ours}/feed_norm")

  def _columns(
    self, name: str, path: str, parts: tuple[str, ...], query: float = 1.0
  ) -> None:
    """A Conv1D, of which each part has as many columns.

    Args:
      name: of the layer.
      path: above the parts.
      parts: names of the parts.
      query: factor on the part `query`.
    """
    kernels = self._take(f"{name}.weight", None, None)
    biases = self._take(f"{name}.bias", None)
    if kernels.shape[1] % len(parts) or biases.shape != kernels.shape[1:]:
      raise types.UserError(
        f"{self.transfer.place}: {self.prefix}{name} has the shapes "
        f"{list(kernels.shape)} and {list(biases.shape)}, which are not those "
        f"of {' and '.join(parts)}"
      )
    for n, part in enumerate(parts):
      factor = query if part == "query" else 1.0
      how = [f"part {n + 1} of {len(parts)}"] if len(parts) > 1 else []
      if factor != 1.0:
        how.append(f"times {factor:g}")
      for kind, whole in (("kernel", kernels), ("bias", biases)):
        value = np.split(whole, len(parts), axis=-1)[n]
        theirs = f"{name}.{'weight' if kind == 'kernel' else 'bias'}"
        if factor != 1.0:
          value = value * np.float32(factor)
        self._put(f"{path}/{part}/{kind}", value, theirs, how=", ".join(how))

  def _linear(self, name: str, path: str) -> None:
    self.transfer.transpose(
      f"{self.prefix}{name}.weight", f"{self.path}/{path}/kernel"
    )
    self._move(f"{name}.bias", f"{path}/bias")

  def _norm(self, name: str, path: str) -> None:
    self._move(f"{name}.weight", f"{path}/scale")
    self._move(f"{name}.bias", f"{path}/bias")

  def _move(self, name: str, path: str) -> None:
    self.transfer.move(self.prefix + name, f"{self.path}/{path}")

  def _take(self, name: str, *shape: int | None) -> np.ndarray:
    return self.transfer.take(self.prefix + name, *shape)

  def _put(self, path: str, value: np.ndarray, *names: str, how: str) -> None:
    names = tuple(self.prefix + name for name in names)
    self.transfer.put(f"{self.path}/{path}", value, *names, how=how)


def rows_of(table: np.ndarray, order: np.ndarray) -> np.ndarray:
  """Rows of a table in another order; zeros where it has none (-1)."""
  rows = table[np.maximum(order, 0)]
  absent = (order < 0).reshape((-1,) + (1,) * (table.ndim - 1))
  return np.where(absent, np.zeros_like(rows), rows)


def softmax(
  transfer: imported.Transfer,
  stack: Stack,
  prefix: str,
  order: np.ndarray,
  copies: np.ndarray,
) -> bool:
  """Sets what stands between a decoder's features and its words.

  Returns whether there is a transform, which files of a bare stack lack.

  Args:
    transfer: takes the arrays and keeps the parameters.
    stack: what config.json says of it.
    prefix: of the head's names.
    order: own id of each of our words, -1 if it has none.
    copies: which of our words are no word of the model's.
  """
  bias, sources = np.zeros(stack.words, np.float32), []
  matrix, names = "lm_head.weight", {}
  if stack.kind == "bert":
    top = "cls.predictions"
    names = {
      "dense": f"{top}.transform.dense",
      "norm": f"{top}.transform.LayerNorm",
      "bias": f"{top}.bias",
    }
    matrix = f"{top}.decoder.weight"
  elif stack.kind == "roberta":
    names = {
      "dense": "lm_head.dense",
      "norm": "lm_head.layer_norm",
      "bias": "lm_head.bias",
    }
    matrix = "lm_head.decoder.weight"
  whole = bool(names) and f"{prefix}{names['dense']}.weight" in transfer
  if whole:
    dense, norm = prefix + names["dense"], prefix + names["norm"]
    path = "decoder/transform"
    transfer.transpose(f"{dense}.weight", f"{path}/dense/kernel")
    transfer.move(f"{dense}.bias", f"{path}/dense/bias")
    transfer.move(f"{norm}.weight", f"{path}/norm/scale")
    transfer.move(f"{norm}.bias", f"{path}/norm/bias")
    sources = [prefix + names["bias"]]
    bias = transfer.take(sources[0], stack.words)
  matrix = prefix + matrix
  if stack.tied:
    transfer.ignore(matrix, "the same as the embeddings")
  else:
    kernel = rows_of(transfer.take(matrix, stack.words, None), order)
    how = "rows in our order, transposed"
    transfer.put("decoder/head/kernel", kernel.T, matrix, how=how)
  for name in ("cls.predictions.decoder.bias", "lm_head.decoder.bias"):
    transfer.ignore(prefix + name, "the same as the bias beside it")
  bias = np.where(copies, np.float32(NEVER), rows_of(bias, order))
  how = "in our order" if sources else "there is none"
  if copies.any():
    how += f", {NEVER:g} for {copies.sum()} added words"
  transfer.put("decoder/head/bias", bias, *sources, how=how)
  return whole
