"""Scales and base configs that several suites share."""

# The scale `smoke` of tables on subwords: whether the table runs at all, in
# minutes. A few updates on a few sentences, one shape of batch.
SMOKE = (
  *("--data.limit", "2000", "--data.source.vocab_size", "1000"),
  *("--data.buckets", "1", "--decode.beam_size", "1"),
  *("--train.steps", "60", "--train.validate_every", "60"),
)

# Tables of Britz et al. 2017: a half-size base on a CPU, theirs on Multi30k on
# a GPU, and their own on a pod, with the one test set that they report on.
NEWSTEST2013 = ("--data.test", "validation")
BRITZ = {"smoke": SMOKE, "cpu": (), "gpu": (), "pod": NEWSTEST2013}
BRITZ_BASES = {
  "smoke": "multi30k_britz_small.py",
  "cpu": "multi30k_britz_small.py",
  "pod": "britz2017.py",
}

# Tables on Multi30k whose words are split at blanks.
MULTI30K_SMOKE = (
  *("--data.limit", "2000", "--data.batch_size", "32", "--data.buckets", "1"),
  *("--train.steps", "60", "--train.validate_every", "60"),
  *("--decode.beam_size", "1"),
)
MULTI30K_CPU = (
  *("--data.limit", "10000", "--data.batch_size", "64"),
  *("--train.steps", "1500", "--train.validate_every", "500"),
  *("--decode.beam_size", "5"),
)


def multi30k(
  smoke: tuple[str, ...] = (),
  cpu: tuple[str, ...] = (),
  gpu: tuple[str, ...] = (),
  pod: tuple[str, ...] | None = None,
) -> dict[str, tuple[str, ...]]:
  """The scales of a table on Multi30k, each with what a suite adds to it.

  smoke: 60 updates on 2,000 sentences. cpu: 1,500 updates on 10,000. gpu: the
  base config's own. pod: the paper's own data, if `pod` is not None.
  """
  scales = {
    "smoke": (*MULTI30K_SMOKE, *smoke),
    "cpu": (*MULTI30K_CPU, *cpu),
    "gpu": gpu,
  }
  return scales if pod is None else scales | {"pod": pod}


def width(n: int) -> tuple[str, ...]:
  """One width for embeddings, encoder, decoder, attention and readout."""
  fields = (
    *("embed_dim", "encoder.dim", "decoder.dim"),
    *("attention.dim", "readout.dim"),
  )
  return tuple(
    word for field in fields for word in (f"--model.{field}", str(n))
  )
