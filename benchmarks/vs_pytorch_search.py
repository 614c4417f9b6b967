"""Beam search in PyTorch, over `vs_pytorch.Model`.

Batched over sentences and hypotheses. The memory is not repeated for the beam,
finished sentences leave the batch at once, and everything stays in tensors. The
same algorithm as ours, so that outputs can be compared.
"""

import math

import torch
from torch import Tensor

from benchmarks import vs_pytorch
from seq2seq_jax import types


def _gather(x: Tensor, index: Tensor) -> Tensor:
  """Returns the hypotheses of an index [B, K] from x [B, N, D]."""
  return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


@torch.inference_mode()
def search(
  model: vs_pytorch.Model,
  src: Tensor,
  lengths: Tensor,
  max_len: Tensor,
  beam: int,
  alpha: float,
  patience: float = 0.0,
) -> list[list[int]]:
  """Returns the best output of each sentence, as ids without EOS.

  The score is log P over length to the `alpha`.

  Args:
    model: in eval mode.
    src: [B, S], sorted by falling length.
    lengths: [B].
    max_len: [B] longest output with EOS.
    beam: K.
    alpha: of the length rule.
    patience: a sentence stops once patience x K hypotheses have ended; 0: not
      before no live one can become the best.
  """
  rows = len(src)
  values, keys, h, c = model.encode(src, lengths)
  size = values.shape[1]
  mask = (torch.arange(size)[None] < lengths[:, None])[:, None]  # [B, 1, S]
  h, c = (x[:, None].expand(-1, beam, -1).contiguous() for x in (h, c))
  feed = h.new_zeros(rows, beam, model.readout.out_features)
  # The K hypotheses start alike: only the first may be continued.
  live = h.new_full((rows, beam), -math.inf)
  live[:, 0] = 0.0
  last = torch.full((rows, beam), types.BOS)
  longest = int(max_len.max())
  tokens = torch.zeros(rows, beam, longest, dtype=torch.long)
  ended_score = torch.full((rows, beam), -math.inf)
  ended = torch.zeros(rows, beam, longest, dtype=torch.long)
  sentence = torch.arange(rows)  # of each row that is still searched
  outputs: list[list[int]] = [[] for _ in range(rows)]
  ended_count = torch.zeros(rows, dtype=torch.long)
  transposed_keys = keys.transpose(1, 2).contiguous()
  # One product a step: of embedding, feed and state side by side.
  weights = torch.cat([model.inputs.weight, model.weights()], dim=1).T
  weights = weights.contiguous()
  for t in range(longest):
    n = len(sentence)
    x = torch.cat([model.target(last), feed, h], dim=2).flatten(0, 1)
    gates = torch.addmm(model.inputs.bias, x, weights)
    i, f, g, o = gates.chunk(4, dim=1)
    c = torch.sigmoid(f) * c.flatten(0, 1) + torch.sigmoid(i) * torch.tanh(g)
    h = (torch.sigmoid(o) * torch.tanh(c)).view(n, beam, -1)
    c = c.view(n, beam, -1)
    scores = torch.bmm(h, transposed_keys).masked_fill(~mask, -math.inf)
    context = torch.bmm(torch.softmax(scores, dim=2), values)
    feed = torch.tanh(model.readout(torch.cat([h, context], dim=2)))
    log_probs = torch.log_softmax(model.output(feed), dim=2)
    log_probs[..., [types.PAD, types.BOS]] = -math.inf
    # Of the best 2K continuations, those with EOS end, and K others live.
    vocab = log_probs.shape[2]
    total, index = (live[..., None] + log_probs).flatten(1).topk(2 * beam)
    parent, token = index // vocab, index % vocab
    paths = _gather(tokens, parent)
    paths[:, :, t] = token
    is_eos = token == types.EOS
    enters = is_eos
    if patience:
      # Only an EOS among the best K continuations counts.
      enters = is_eos & ((~is_eos).cumsum(1) < beam)
      ended_count += enters.sum(1)
    score = (total / (t + 1) ** alpha).masked_fill(~enters, -math.inf)
    at_end = (max_len <= t + 1)[:, None]
    live, chosen = total.masked_fill(is_eos, -math.inf).topk(beam)
    tokens = _gather(paths, chosen)
    truncated = (live / (t + 1) ** alpha).masked_fill(~at_end, -math.inf)
    candidates = torch.cat([ended_score, score, truncated], dim=1)
    ended_score, best = candidates.topk(beam)
    ended = _gather(torch.cat([ended, paths, tokens], dim=1), best)
    last, parent = token.gather(1, chosen), parent.gather(1, chosen)
    h, c, feed = (_gather(x, parent) for x in (h, c, feed))
    # The best final score that a live hypothesis can reach.
    bound = torch.maximum(
      live[:, 0] / (t + 1) ** alpha, live[:, 0] / max_len**alpha
    )
    top = ended_score[:, 0]
    done = at_end[:, 0] | ((top > -math.inf) & (bound <= top))
    if patience:
      done |= ended_count >= patience * beam
    if not done.any():
      continue
    for row in done.nonzero()[:, 0].tolist():
      ids = ended[row, 0].tolist()
      end = ids.index(types.EOS) if types.EOS in ids else len(ids)
      outputs[int(sentence[row])] = [x for x in ids[:end] if x != types.PAD]
    rest = (~done).nonzero()[:, 0]
    if not len(rest):
      break
    values, transposed_keys, mask, h, c, feed, live, last, tokens = (
      x.index_select(0, rest)
      for x in (values, transposed_keys, mask, h, c, feed, live, last, tokens)
    )
    ended_score, ended, max_len, sentence, ended_count = (
      x.index_select(0, rest)
      for x in (ended_score, ended, max_len, sentence, ended_count)
    )
  return outputs
