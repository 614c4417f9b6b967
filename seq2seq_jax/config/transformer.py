"""Schema: Transformers, and what those of other toolkits do in another way."""

import dataclasses
from typing import Literal

from seq2seq_jax.config import fields


@fields.strict
@dataclasses.dataclass(frozen=True)
class Transformer:
  """Sizes of a Transformer, and how it is put together."""

  dim: int = fields.field(256, min=1, max=10**6)
  """Width."""
  layers: int = fields.field(3, min=1, max=256)
  """Layers, in the encoder and in the decoder."""
  heads: int = fields.field(4, min=1, max=10**4)
  """Heads of its attentions."""
  hidden: int = fields.field(1024, min=1, max=10**7)
  """Width of its feed-forward layers."""
  norm: Literal["pre", "post"] = "pre"
  """Layer normalisation before each part, or after it (the paper's)."""
  epsilon: float = fields.field(1e-5, above=0, max=1)
  """Added to the variance in its layer normalisations (BERT: 1e-12)."""
  activation: Literal["relu", "gelu", "gelu_tanh"] = "relu"
  """Of its feed-forward layers: `gelu` by the error function (BERT), or by its
  approximation with tanh (GPT-2)."""
  positions: Literal["sinusoidal", "learned"] = "sinusoidal"
  """Position vectors."""
  max_positions: int = fields.field(512, min=1, max=10**7)
  """Positions of the learned table; later ones share the last."""
  scale_embeddings: bool = True
  """Embeddings times the root of the width, as the paper; not in BERT or
  GPT-2."""
  embedding_norm: bool = False
  """A layer normalisation behind embeddings and positions (BERT)."""
  transform: Literal["none", "relu", "gelu", "gelu_tanh"] = "none"
  """A decoder's layer before the softmax, with this activation and a layer
  normalisation (BERT's masked language model)."""

  def __post_init__(self) -> None:
    fields.validate(self, "Transformer")
    fields.check(
      self.dim % self.heads == 0,
      "Transformer.heads",
      f"{self.heads} must divide dim ({self.dim})",
    )
