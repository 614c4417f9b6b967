"""How Transformers of other toolkits differ, against PyTorch's."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import build
from tests.helpers.numeric import close, compiled, scattered
from tests.models import test_transformer as helpers

pytestmark = pytest.mark.usefixtures("strict")
WIDTH, VOCAB, SOURCE = helpers.WIDTH, helpers.VOCAB, helpers.SOURCE
SRC_LEN = helpers.SRC_LEN
SIZES = {
  "dim": WIDTH,
  "layers": helpers.DEPTH,
  "heads": helpers.HEADS,
  "hidden": helpers.HIDDEN,
  "positions": "learned",
  "max_positions": SOURCE,
}
# Epsilons so large that another one is seen.
BERT = config.Transformer(
  **SIZES,
  norm="post",
  epsilon=0.3,
  activation="gelu",
  scale_embeddings=False,
  embedding_norm=True,
  transform="gelu",
)
GPT2 = config.Transformer(
  **SIZES,
  norm="pre",
  epsilon=0.1,
  activation="gelu_tanh",
  scale_embeddings=False,
)
OTHER = config.Transformer(
  **SIZES, norm="pre", epsilon=1e-3, transform="relu", embedding_norm=True
)


def built(sizes, own=None):
  """Encoder and decoder of the sizes, the decoder perhaps with its own."""
  model = config.Model(
    embed_dim=WIDTH,
    encoder=config.Encoder(kind="transformer"),
    decoder=config.Decoder(
      kind="transformer",
      sizes="own" if own else "shared",
      transformer=own or config.Transformer(),
    ),
    transformer=sizes,
  )
  module = build.build(model, VOCAB, VOCAB)
  batch = build.example(False)

  def init(key):
    return module.init(key, batch, method="initialize")

  return module, scattered(jax.eval_shape(init, jax.random.key(0)))


def activation_of(torch, name):
  return {
    "relu": torch.relu,
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: (
      x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    ),
  }[name]


def normed(torch, x, params, epsilon):
  scale, bias = (helpers.tensor(torch, params[n]) for n in ("scale", "bias"))
  return torch.nn.functional.layer_norm(x, (WIDTH,), scale, bias, epsilon)


def twin(torch, sizes, crossed, params):
  """PyTorch's stack of these sizes, with our weights."""
  stack = helpers.twin(torch, sizes.norm, crossed)
  for layer in stack.layers:
    layer.activation = activation_of(torch, sizes.activation)
  for module in stack.modules():
    if isinstance(module, torch.nn.LayerNorm):
      module.eps = sizes.epsilon
  helpers.copy_weights(torch, helpers.stack_pairs(params, stack))
  return stack


def embedded(torch, sizes, params, table, tokens):
  """What the first layer reads."""
  x = helpers.tensor(torch, table)[torch.tensor(tokens.astype(np.int64))]
  if sizes.scale_embeddings:
    x = x * math.sqrt(WIDTH)
  places = helpers.tensor(torch, params["places"]["table"])
  x = x + places[: tokens.shape[1]]
  if sizes.embedding_norm:
    x = normed(torch, x, params["places"]["norm"], sizes.epsilon)
  return x


@pytest.mark.parametrize(
  ("sizes", "own"),
  [(BERT, None), (GPT2, None), (OTHER, BERT)],
  ids=["bert", "gpt2", "own"],
)
def test_switches_equal_torch(sizes, own):
  torch = helpers.pytorch()
  module, variables = built(sizes, own)
  rng = np.random.default_rng(0)
  src = rng.integers(4, VOCAB, (4, SOURCE)).astype(np.int32)
  tokens = rng.integers(1, VOCAB, (4, helpers.TARGET)).astype(np.int32)

  def run(module):
    memory = module.encode(src, SRC_LEN)
    carry, steps = module.start(memory, tokens.shape[1]), []
    for t in range(tokens.shape[1]):
      inputs = module.decoder.embed(tokens[:, t : t + 1])
      carry, output = module.decoder.advance(memory, carry, inputs)
      steps.append(output.features)
    whole = module.unroll(memory, jnp.asarray(tokens))
    return memory.values, whole.features, jnp.concatenate(steps, axis=1)

  values, whole, steps = compiled(lambda v: module.apply(v, method=run))(
    variables
  )
  params = variables["params"]["encoder"]
  stack = twin(torch, sizes, False, params)
  x = embedded(torch, sizes, params, params["embed"]["table"]["table"], src)
  real = np.arange(SOURCE)[None] < SRC_LEN[:, None]
  want = stack(x, src_key_padding_mask=torch.tensor(~real))
  close(values, (want * torch.tensor(real)[..., None]).detach())

  sizes, params = own or sizes, variables["params"]["decoder"]
  stack = twin(torch, sizes, True, params)
  x = embedded(torch, sizes, params, params["embed_table"]["table"], tokens)
  causal = torch.nn.Transformer.generate_square_subsequent_mask(
    tokens.shape[1], dtype=torch.float64
  )
  memory = helpers.tensor(torch, values)
  want = stack(x, memory, causal, memory_key_padding_mask=torch.tensor(~real))
  if sizes.transform != "none":
    p = params["transform"]
    kernel, bias = (helpers.tensor(torch, p["dense"][n]) for n in p["dense"])
    if kernel.ndim == 1:
      kernel, bias = bias, kernel
    want = activation_of(torch, sizes.transform)(want @ kernel + bias)
    want = normed(torch, want, p["norm"], sizes.epsilon)
  close(whole, want.detach())
  close(steps, want.detach())


@pytest.mark.quick
def test_what_the_defaults_build():
  """The switches add no parameter unless they are set."""
  plain = config.Transformer(**SIZES)
  for sizes, names in (
    (plain, set()),
    (BERT, {"norm", "transform"}),
  ):
    params = built(sizes)[1]["params"]["decoder"]
    assert ("norm" in params["places"]) == ("norm" in names)
    assert ("transform" in params) == ("transform" in names)


@pytest.mark.quick
def test_a_transform_and_sizes_are_checked():
  with pytest.raises(types.UserError, match=r"^Transformer\.heads: 3 must"):
    config.Transformer(dim=8, heads=3)
  model = config.Model(decoder=config.Decoder(sizes="own", transformer=GPT2))
  assert model.decoder_transformer() == GPT2
  assert model.encoder_widths() != [WIDTH]
