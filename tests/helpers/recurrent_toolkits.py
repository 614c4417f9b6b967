"""Models that recurrent toolkits wrote, and their equations in float64."""

import pathlib
from typing import NamedTuple

import numpy as np
import yaml

from seq2seq_jax import types
from seq2seq_jax.interchange import formats, torch_files
from tests.helpers import oracle_decoder
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import double, leaves_of

FOLDER = pathlib.Path(__file__).parents[3] / "shared/fixtures/rnn_toolkits"
NAMES = (
  *("joey_gru_bahdanau", "joey_lstm_bridge", "joey_lstm_luong"),
  *("onmt_gru_mlp", "onmt_lstm_bridge", "onmt_lstm_general", "onmt_lstm_std"),
  *("onmt_lstm_copy", "fairseq_lstm", "fairseq_lstm_proj", "fairseq_lstm_tied"),
)
TOOLKITS = {"joey": "joeynmt", "onmt": "opennmt", "fairseq": "fairseq"}
# Rows of pad, BOS, EOS and unknown there.
SPECIALS = {
  "joeynmt": (1, 2, 3, 0),
  "opennmt": (1, 2, 3, 0),
  "fairseq": (1, 0, 2, 3),
}


class Case(NamedTuple):
  """A model of a toolkit, converted, and what its own code gave."""

  format: str
  path: pathlib.Path
  imported: object
  src: np.ndarray  # [B, S] our ids
  src_len: np.ndarray
  tokens: np.ndarray  # [B, T] our ids, fed to the decoder
  order: list  # the toolkit's row of each of our ids
  expected: dict

  def log_probs(self):
    """The toolkit's [B, T, V] in our order."""
    x = self.expected
    logits = x["log_probs"] if "log_probs" in x else x["logits"]
    logits = logits.astype(np.float64)
    normed = logits - np.log(np.sum(np.exp(logits), -1, keepdims=True))
    return normed[..., self.order]


def there(name):
  return (FOLDER / name / "expected.npz").exists()


def case(name):
  """A case by the name of its folder."""
  form = TOOLKITS[name.split("_")[0]]
  path = FOLDER / name
  if form == "opennmt":
    path = path / "model_step_1.pt"
  imported = formats.read(form, path, formats.Options())
  expected = dict(np.load(FOLDER / name / "expected.npz"))
  sizes = imported.vocabularies.sizes
  orders = [
    [*SPECIALS[form], *(r for r in range(n) if r not in SPECIALS[form])]
    for n in sizes
  ]
  ids = [{row: i for i, row in enumerate(order)} for order in orders]
  src = np.vectorize(ids[0].get)(expected["src"]).astype(np.int32)
  tokens = np.vectorize(ids[1].get)(expected["tgt_in"]).astype(np.int32)
  tokens[:, 0] = types.BOS  # fairseq begins with EOS
  length = expected["src_len"].astype(np.int32)
  return Case(form, path, imported, src, length, tokens, orders[1], expected)


def slow_memory(model, params, src, src_len, leaves):
  """The encoder's memory by a loop, its outputs and states in float64."""
  p, kind = params["encoder"], model.encoder.cell
  both = model.encoder.direction == "both"
  names = ("forward", "backward") if both else ("forward",)
  width = model.encoder_widths()[-1]
  values = np.zeros((*src.shape, width))
  states = [
    tuple(np.zeros((len(src), width)) for _ in range(leaves))
    for _ in range(model.encoder.layers)
  ]
  for b, n in enumerate(src_len):
    x = p["embed"]["table"]["table"][src[b, :n]]
    for i in range(model.encoder.layers):
      outputs = np.zeros((n, width))
      for d, name in enumerate(names):
        columns = slice(d * model.encoder.dim, (d + 1) * model.encoder.dim)
        carry = (np.zeros(model.encoder.dim),) * leaves
        places = range(n) if name == "forward" else reversed(range(n))
        for t in places:
          carry = oracle.cell(kind, p[f"{name}_{i}"], x[t], carry)
          outputs[t, columns] = carry[-1]
        for leaf, value in zip(states[i], carry):
          leaf[b, columns] = value
      x = outputs
    values[b, :n] = x
  mask = np.arange(src.shape[1])[None] < src_len[:, None]
  return types.Memory(values, mask, tuple(states))


def slow_log_probs(case, params=None, source=None):
  """log P [B, T, V + X] and attention by loops, of a case's model.

  Args:
    case: which.
    params: other parameters than its own.
    source: ids of the extended vocabulary, if it copies.
  """
  model = case.imported.config.model
  p = double((params or case.imported.params)["params"])
  leaves = leaves_of(model.encoder.cell)
  memory = slow_memory(model, p, case.src, case.src_len, leaves)
  memory = memory._replace(source=source)
  return oracle_decoder.slow_rows(model, p["decoder"], memory, case.tokens)


def content(name):
  """What a checkpoint holds, and a JoeyNMT model's settings."""
  form = TOOLKITS[name.split("_")[0]]
  file = {
    "joeynmt": "best.ckpt",
    "opennmt": "model_step_1.pt",
    "fairseq": "checkpoint_best.pt",
  }[form]
  settings = None
  if form == "joeynmt":
    settings = yaml.safe_load((FOLDER / name / "config.yaml").read_text())
  return torch_files.read(FOLDER / name / file), settings
