"""Beam search in PyTorch, over `pytorch.Model`.

Batched over sentences and hypotheses; the memory is not repeated for the beam;
sentences that are done leave the batch at once; everything stays in tensors.
The same algorithm as ours, so that outputs can be compared.
"""

import math

import torch

from seq2seq_jax import types


@torch.inference_mode()
def search(
  model, src, lengths, max_len, beam: int, alpha: float, patience: float = 0.0
):
  """Best hypotheses of a batch sorted by falling length, lists of ids.

  The score is log P over length to the `alpha`.

  Args:
    model: in eval mode.
    src: [B, S].
    lengths: [B].
    max_len: [B] longest output with EOS.
    beam: K.
    alpha: of the length rule.
    patience: ended hypotheses over K after which a sentence stops; 0: any.
  """
  rows = len(src)
  values, keys, h, c = model.encode(src, lengths)
  size = values.shape[1]
  mask = (torch.arange(size)[None] < lengths[:, None])[:, None]  # [B, 1, S]
  spread = lambda x: x[:, None].expand(-1, beam, -1).contiguous()
  h, c = spread(h), spread(c)
  feed = h.new_zeros(rows, beam, model.readout.out_features)
  live = h.new_full((rows, beam), -math.inf)
  live[:, 0] = 0.0
  last = torch.full((rows, beam), types.BOS)
  longest = int(max_len.max())
  tokens = torch.zeros(rows, beam, longest, dtype=torch.long)
  ended_score = torch.full((rows, beam), -math.inf)
  ended = torch.zeros(rows, beam, longest, dtype=torch.long)
  place, out = torch.arange(rows), [None] * rows
  met = torch.zeros(rows, dtype=torch.long)
  turned_keys = keys.transpose(1, 2).contiguous()
  # One product a step: of embedding, feed and state side by side.
  weights = torch.cat([model.inputs.weight, model.weights()], dim=1).T
  weights = weights.contiguous()
  for t in range(longest):
    n = len(place)
    x = torch.cat([model.target(last), feed, h], dim=2).flatten(0, 1)
    gates = torch.addmm(model.inputs.bias, x, weights)
    i, f, g, o = gates.chunk(4, dim=1)
    c = torch.sigmoid(f) * c.flatten(0, 1) + torch.sigmoid(i) * torch.tanh(g)
    h = (torch.sigmoid(o) * torch.tanh(c)).view(n, beam, -1)
    c = c.view(n, beam, -1)
    scores = torch.bmm(h, turned_keys).masked_fill(~mask, -math.inf)
    context = torch.bmm(torch.softmax(scores, dim=2), values)
    feed = torch.tanh(model.readout(torch.cat([h, context], dim=2)))
    log_probs = torch.log_softmax(model.output(feed), dim=2)
    log_probs[..., [types.PAD, types.BOS]] = -math.inf
    vocab = log_probs.shape[2]
    total, index = (live[..., None] + log_probs).flatten(1).topk(2 * beam)
    parent, token = index // vocab, index % vocab
    paths = tokens.gather(1, parent[..., None].expand(-1, -1, longest))
    paths[:, :, t] = token
    is_eos = token == types.EOS
    enters = is_eos
    if patience:
      enters = is_eos & ((~is_eos).cumsum(1) < beam)
      met += enters.sum(1)
    score = (total / (t + 1) ** alpha).masked_fill(~enters, -math.inf)
    at_end = (max_len <= t + 1)[:, None]
    live, chosen = total.masked_fill(is_eos, -math.inf).topk(beam)
    deep = lambda x, at: x.gather(1, at[..., None].expand(-1, -1, x.shape[2]))
    tokens = deep(paths, chosen)
    cut = (live / (t + 1) ** alpha).masked_fill(~at_end, -math.inf)
    every = torch.cat([ended_score, score, cut], dim=1)
    ended_score, best = every.topk(beam)
    ended = deep(torch.cat([ended, paths, tokens], dim=1), best)
    last, parent = token.gather(1, chosen), parent.gather(1, chosen)
    h, c, feed = (deep(x, parent) for x in (h, c, feed))
    bound = torch.maximum(
      live[:, 0] / (t + 1) ** alpha, live[:, 0] / max_len**alpha
    )
    best = ended_score[:, 0]
    done = at_end[:, 0] | ((best > -math.inf) & (bound <= best))
    if patience:
      done |= met >= patience * beam
    if not done.any():
      continue
    for row in done.nonzero()[:, 0].tolist():
      ids = ended[row, 0].tolist()
      end = ids.index(types.EOS) if types.EOS in ids else len(ids)
      out[int(place[row])] = [x for x in ids[:end] if x != types.PAD]
    kept = (~done).nonzero()[:, 0]
    if not len(kept):
      break
    values, turned_keys, mask, h, c, feed, live, last, tokens = (
      x.index_select(0, kept)
      for x in (values, turned_keys, mask, h, c, feed, live, last, tokens)
    )
    ended_score, ended, max_len, place, met = (
      x.index_select(0, kept) for x in (ended_score, ended, max_len, place, met)
    )
  return out
