"""Where attention stands among the decoder's layers.

Papers that "add attention" differ in which state asks the question and in which
layers see the answer. Each variant is a record of facts about one step; the
decoder asks for the facts and never for the name. A new placement is one record
here and its name in the config.
"""

import dataclasses

QUERIES = ("top", "first", "top_previous", "first_previous")


@dataclasses.dataclass(frozen=True)
class Placement:
  """Facts of one decoder step.

  Only layers that run after the query is known can see its context: the first
  one if the query is a previous one, those above unless it is `top`.
  """

  query: str
  """State that asks: top or first (layer's new output), top_previous or
  first_previous (that layer's output of the step before)."""
  feeds_first: bool = False
  """The context is an input of the first layer, in the same step."""
  feeds_above: bool = False
  """The context is an input of all layers above the first."""
  conditional: bool = False
  """The first layer is two cells, the attention between them."""
  carries_context: bool = False
  """The first layer sees the context of the step before, unless the readout is
  fed to it."""

  def __post_init__(self) -> None:
    if self.query not in QUERIES:
      raise ValueError(f"query {self.query!r}: is one of {', '.join(QUERIES)}")
    if self.feeds_first and not self.asks_before:
      raise ValueError(
        f"feeds_first: query {self.query} is known only after the first layer "
        "has run; it needs top_previous or first_previous"
      )
    if self.feeds_above and self.query == "top":
      raise ValueError(
        "feeds_above: query top is known only after all layers have run"
      )
    if self.conditional and self.query != "first":
      raise ValueError(
        "conditional: between the first layer's two cells the query is first, "
        f"not {self.query}"
      )

  @property
  def asks_before(self) -> bool:
    """True if the query is known before any layer has run."""
    return self.query in ("top_previous", "first_previous")

  @property
  def asks_first(self) -> bool:
    """True if the query is the first layer's, of this step or the last."""
    return self.query in ("first", "first_previous")


PLACEMENTS = {
  # The query is the new top state (Luong et al. 2015).
  "luong": Placement("top"),
  # The query is the previous top state, the context an input of the first layer
  # (Bahdanau et al. 2015).
  "bahdanau": Placement("top_previous", feeds_first=True),
  # Between the two cells of the first layer: Nematus's conditional GRU
  # (Sennrich et al. 2017).
  "cgru": Placement("first", conditional=True),
  # The query is the first layer's new state, the context an input of the layers
  # above; the first one sees the context of the step before (tensorflow/nmt's
  # gnmt_v2; Chen et al. 2018).
  "gnmt_v2": Placement("first", feeds_above=True, carries_context=True),
  # The query is the first layer's previous state, the context an input of all
  # layers (Wu et al. 2016; tensorflow/nmt's gnmt).
  "gnmt": Placement("first_previous", feeds_first=True, feeds_above=True),
  # Like `gnmt_v2`, but the first layer never sees a context (NVIDIA's GNMT v2).
  "nvidia_gnmt": Placement("first", feeds_above=True),
}
