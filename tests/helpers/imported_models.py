"""What a converted model gives, for comparison with its own program's."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import types
from seq2seq_jax.inference import model as model_lib

FIXTURES = pathlib.Path(__file__).parents[3] / "shared" / "fixtures"


def padded(rows):
  """Rows of ids with pad behind them, and their lengths."""
  lengths = np.array([len(row) for row in rows], np.int32)
  out = np.zeros((len(rows), lengths.max()), np.int32)
  for i, row in enumerate(rows):
    out[i, : len(row)] = row
  return out, lengths


def distributions(workdir, sources, inputs):
  """log P of every word at every step, all at once and step by step.

  Args:
    workdir: of a converted model.
    sources: our ids of each source, with its end; None of a language model.
    inputs: ids fed to the decoder, BOS first, as many of each source.

  Returns:
    Two arrays [B, T, V], NumPy's, and the attention [B, T, M] of the first.
  """
  model = model_lib.load(workdir).members[0]
  params = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), model.params)
  tokens = np.array(inputs, np.int32)
  src, lengths = None, np.ones(len(tokens), np.int32)
  if sources is not None:
    src, lengths = padded(sources)

  def at_once(module):
    memory = module.encode(src, lengths)
    output = module.unroll(memory, tokens)
    return module.decoder.head.log_probs(memory, output), output.attention

  def stepped(module):
    memory = module.encode(src, lengths)
    carry, out = module.start(memory, tokens.shape[1]), []
    for t in range(tokens.shape[1]):
      carry, log_probs, _ = module.step(memory, carry, tokens[:, t : t + 1])
      out.append(log_probs)
    return jnp.concatenate(out, 1)

  def both(params):
    first, attention = model.model.apply(params, method=at_once)
    return first, model.model.apply(params, method=stepped), attention

  with jax.default_matmul_precision("highest"):
    return jax.device_get(jax.jit(both)(params))


def log_softmax(logits):
  """In float64."""
  x = np.asarray(logits, np.float64)
  x = x - x.max(-1, keepdims=True)
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def ours(ids, specials):
  """Our ids of ids there, for rows that keep their order behind specials.

  Args:
    ids: there.
    specials: ids there of pad, BOS, EOS and unknown; None where there is none.
  """
  known = [i for i in specials if i is not None]
  back = {i: n for n, i in enumerate(specials) if i is not None}
  others = [i for i in range(max(*ids, *known) + 1) if i not in known]
  back |= {i: n for n, i in enumerate(others, len(types.SPECIALS))}
  return [back[i] for i in ids]
