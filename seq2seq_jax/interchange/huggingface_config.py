"""What a config.json of Hugging Face's says, in our terms.

Fields without a default here must be there; what ours cannot express is
refused by name.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from seq2seq_jax import config, types

Activation = Literal["relu", "gelu", "gelu_tanh"]
ACTIVATIONS: dict[str, Activation] = {
  "relu": "relu",
  "gelu": "gelu",
  "gelu_python": "gelu",
  "gelu_new": "gelu_tanh",
  "gelu_fast": "gelu_tanh",
  "gelu_accurate": "gelu_tanh",
  "gelu_pytorch_tanh": "gelu_tanh",
  "gelu_python_tanh": "gelu_tanh",
}
KINDS = ("bert", "roberta", "gpt2")
PAIR = "encoder-decoder"


class Stack(NamedTuple):
  """An encoder or a decoder of theirs."""

  kind: str
  """One of `KINDS`."""
  sizes: config.Transformer
  words: int
  """Rows of its embeddings."""
  first_place: int
  """Row of its table of positions that the first token has."""
  query_scale: float
  """Its attentions' scores over ours, in all layers."""
  by_layer: bool
  """Scores of layer n (from 1) are divided by n too."""
  tied: bool
  """The output matrix is that of its embeddings."""
  causal: bool
  """It is a decoder."""
  fields: Mapping[str, Any]
  """The config.json itself."""


def kind_of(fields: Mapping[str, Any], place: str) -> str:
  """One of `KINDS`, or `PAIR`.

  Raises:
    types.UserError: it is of another architecture.
  """
  kind = fields.get("model_type")
  if kind not in (*KINDS, PAIR):
    raise types.UserError(
      f"{place}: model_type is {str(kind)[:60]!r}; read are "
      f"{', '.join(KINDS)} and {PAIR} of them"
    )
  return str(kind)


def stack(fields: Mapping[str, Any], place: str) -> Stack:
  """The stack of a config.json, or of a part of it.

  Raises:
    types.UserError: it says something that ours cannot be, or lacks a field.
  """
  kind = kind_of(fields, place)
  if kind == PAIR:
    raise types.UserError(f"{place}: an encoder or decoder is {PAIR} itself")
  return (_gpt2 if kind == "gpt2" else _bert)(kind, fields, place)


def _bert(kind: str, fields: Mapping[str, Any], place: str) -> Stack:
  _only(fields, place, "position_embedding_type", "absolute")
  _only(fields, place, "embedding_size", fields.get("hidden_size"))
  _only(fields, place, "cross_attention_hidden_size", None)
  activation = _activation(fields, place, "hidden_act", "gelu")
  pad = _number(fields, place, "pad_token_id", 1 if kind == "roberta" else 0)
  first = pad + 1 if kind == "roberta" else 0
  places = _number(fields, place, "max_position_embeddings") - first
  sizes = config.Transformer(
    dim=_number(fields, place, "hidden_size"),
    layers=_number(fields, place, "num_hidden_layers"),
    heads=_number(fields, place, "num_attention_heads"),
    hidden=_number(fields, place, "intermediate_size"),
    norm="post",
    epsilon=_real(fields, place, "layer_norm_eps", 1e-12),
    activation=activation,
    positions="learned",
    max_positions=places,
    scale_embeddings=False,
    embedding_norm=True,
    # RoBERTa's masked language model has this one whatever the layers have.
    transform="gelu" if kind == "roberta" else activation,
  )
  return Stack(
    kind=kind,
    sizes=sizes,
    words=_number(fields, place, "vocab_size"),
    first_place=first,
    query_scale=1.0,
    by_layer=False,
    tied=bool(fields.get("tie_word_embeddings", True)),
    causal=bool(fields.get("is_decoder", False)),
    fields=fields,
  )


def _gpt2(kind: str, fields: Mapping[str, Any], place: str) -> Stack:
  width = _number(fields, place, "n_embd")
  heads = _number(fields, place, "n_head")
  inner = fields.get("n_inner")
  positions = "n_positions" if "n_positions" in fields else "n_ctx"
  sizes = config.Transformer(
    dim=width,
    layers=_number(fields, place, "n_layer"),
    heads=heads,
    hidden=4 * width if inner is None else _number(fields, place, "n_inner"),
    norm="pre",
    epsilon=_real(fields, place, "layer_norm_epsilon", 1e-5),
    activation=_activation(fields, place, "activation_function", "gelu_new"),
    positions="learned",
    max_positions=_number(fields, place, positions),
    scale_embeddings=False,
  )
  scaled = fields.get("scale_attn_weights", True)
  return Stack(
    kind=kind,
    sizes=sizes,
    words=_number(fields, place, "vocab_size"),
    first_place=0,
    query_scale=1.0 if scaled else (width // heads) ** 0.5,
    by_layer=bool(fields.get("scale_attn_by_inverse_layer_idx", False)),
    tied=bool(fields.get("tie_word_embeddings", True)),
    causal=True,
    fields=fields,
  )


def _only(
  fields: Mapping[str, Any], place: str, name: str, wanted: Any
) -> None:
  """Refuses another value than one."""
  found = fields.get(name, wanted)
  if found != wanted and found is not None:
    raise types.UserError(
      f"{place}: {name} is {found!r}, and ours can only be {wanted!r}"
    )


def _activation(
  fields: Mapping[str, Any], place: str, name: str, default: str
) -> Activation:
  found = fields.get(name, default)
  if not isinstance(found, str) or found not in ACTIVATIONS:
    raise types.UserError(
      f"{place}: {name} is {found!r}; ours can be {', '.join(ACTIVATIONS)}"
    )
  return ACTIVATIONS[found]


def _number(
  fields: Mapping[str, Any], place: str, name: str, default: int | None = None
) -> int:
  found = fields.get(name)
  found = default if found is None else found
  if not isinstance(found, int) or isinstance(found, bool) or found < 0:
    raise types.UserError(f"{place}: {name} must be a number, not {found!r}")
  return found


def _real(
  fields: Mapping[str, Any], place: str, name: str, default: float
) -> float:
  found = fields.get(name, default)
  if not isinstance(found, int | float) or isinstance(found, bool):
    raise types.UserError(f"{place}: {name} must be a number, not {found!r}")
  return float(found)
