"""The peer in PyTorch, as its best users write it.

`nn.LSTM` for the encoder; in the decoder the embeddings' product of all steps
is made before the loop, the attention's keys once, readouts of all steps go
through one output layer; fused Adam, `F.cross_entropy(label_smoothing=)`.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
  """An attentional encoder-decoder (Luong et al. 2015, general score)."""

  def __init__(
    self, size, embed, encoder, decoder, readout, dropout, bridge, feeding=True
  ):
    super().__init__()
    self.dropout, self.feeding = dropout, feeding
    self.source = nn.Embedding(size, embed)
    self.target = nn.Embedding(size, embed)
    self.encoder = nn.LSTM(embed, encoder, batch_first=True, bidirectional=True)
    self.inputs = nn.Linear(embed, 4 * decoder)
    self.feed = nn.Linear(readout, 4 * decoder, bias=False)
    self.recurrent = nn.Linear(decoder, 4 * decoder, bias=False)
    self.bridge = None
    if bridge:
      self.bridge = nn.ModuleList(
        nn.Linear(2 * encoder, decoder) for _ in range(2)
      )
    if not feeding:
      self.plain = nn.LSTM(embed, decoder, batch_first=True)
    self.keys = nn.Linear(2 * encoder, decoder, bias=False)
    self.readout = nn.Linear(decoder + 2 * encoder, readout)
    self.output = nn.Linear(readout, size)

  def drop(self, x):
    return F.dropout(x, self.dropout, self.training)

  def encode(self, src, lengths=None):
    """[B, S] -> values [B, S, D], keys, h and c [B, D]."""
    x = self.drop(self.source(src))
    if lengths is not None:
      x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    values, (h, c) = self.encoder(x)
    if lengths is not None:
      values, _ = nn.utils.rnn.pad_packed_sequence(values, batch_first=True)
    h, c = (torch.cat([x[0], x[1]], dim=-1) for x in (h, c))
    if self.bridge is not None:
      c, h = (torch.tanh(f(x)) for f, x in zip(self.bridge, (c, h)))
    values = self.drop(values)
    return values, self.keys(values), h, c

  def weights(self):
    """Feed's and state's matrix as one, for a single product a step."""
    return torch.cat([self.feed.weight, self.recurrent.weight], dim=1)

  def step(self, gates, memory, feed, h, c, weights, mask=None):
    """gates [B, 4H] of the input; memory values, keys [B, S, D]."""
    values, keys = memory
    gates = gates + F.linear(torch.cat([feed, h], dim=1), weights)
    i, f, g, o = gates.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    scores = torch.bmm(keys, h.unsqueeze(2)).squeeze(2)
    if mask is not None:
      scores = scores.masked_fill(~mask, float("-inf"))
    attention = torch.softmax(scores, dim=1)
    context = torch.bmm(attention.unsqueeze(1), values).squeeze(1)
    read = torch.cat([self.drop(h), context], dim=1)
    return torch.tanh(self.readout(read)), h, c

  def forward(self, src, inputs):
    """Logits of all steps. [B, S], [B, T] -> [B, T, V]."""
    values, keys, h, c = self.encode(src)
    if not self.feeding:
      return self.without_feeding(inputs, values, keys, h, c)
    gates = self.inputs(self.drop(self.target(inputs))).unbind(1)
    feed = h.new_zeros(h.shape[0], self.readout.out_features)
    weights, outputs = self.weights(), []
    for x in gates:
      feed, h, c = self.step(x, (values, keys), feed, h, c, weights)
      outputs.append(feed)
    return self.output(self.drop(torch.stack(outputs, dim=1)))

  def without_feeding(self, inputs, values, keys, h, c):
    """The decoder as one LSTM, then attention of all steps at once."""
    cell = self.plain
    x = self.drop(self.target(inputs))
    h, _ = cell(x, (h[None], c[None]))
    scores = torch.bmm(h, keys.transpose(1, 2))
    context = torch.bmm(torch.softmax(scores, dim=2), values)
    read = torch.cat([self.drop(h), context], dim=2)
    return self.output(self.drop(torch.tanh(self.readout(read))))


def from_ours(params, conf, dropout: float, feeding: bool = True) -> Model:
  """The same weights in the peer."""
  p = params["params"]
  enc, dec, m = p["encoder"], p["decoder"], conf.model
  # (our parameter, turned, the peer's); of two tables that are one, one.
  table = dec.get("embed_table", enc["embed"]["table"])["table"]
  head = dec["head"]["kernel"] if m.tie == "none" else np.transpose(table)
  source = enc["embed"]["table"]["table"] if m.tie != "all" else table
  model = Model(
    head.shape[1],
    m.embed_dim,
    m.encoder.dim,
    m.decoder.dim,
    m.readout.dim,
    dropout,
    m.decoder.bridge == "dense",
    feeding,
  )

  def put(to, value, turned=False):
    value = np.array(value)
    to.data.copy_(torch.from_numpy(value.T if turned else value))

  put(model.source.weight, source)
  put(model.target.weight, table)
  for name, suffix in (("forward_0", "l0"), ("backward_0", "l0_reverse")):
    get = lambda what, suffix=suffix: getattr(model.encoder, f"{what}_{suffix}")
    put(get("weight_ih"), enc[name]["kernel"], True)
    put(get("weight_hh"), enc[name]["recurrent"], True)
    put(get("bias_ih"), enc[name]["bias"])
    get("bias_hh").data.zero_()
  if model.bridge is not None:
    for i, layer in enumerate(model.bridge):
      put(layer.weight, dec["start_bridge"][f"layer_0_{i}"]["kernel"], True)
      put(layer.bias, dec["start_bridge"][f"layer_0_{i}"]["bias"])
  cell = dec["layer_0"]
  put(model.inputs.weight, cell["kernel"], True)
  put(model.inputs.bias, cell["bias"])
  put(model.feed.weight, cell["feed_0"], True)
  put(model.recurrent.weight, cell["recurrent"], True)
  put(model.keys.weight, dec["attention"]["score"]["key"], True)
  put(model.readout.weight, dec["readout_layer"]["kernel"], True)
  put(model.readout.bias, dec["readout_layer"]["bias"])
  put(model.output.weight, head, True)
  put(model.output.bias, dec["head"]["bias"])
  return model


class Trainer:
  """The peer's training step on the same batch."""

  def __init__(
    self, model: Model, batch, smoothing: float, clip: float, device="cpu"
  ):
    self.model, self.smoothing, self.clip = model, smoothing, clip
    self.src = torch.from_numpy(batch.src).long().to(device)
    self.tgt = torch.from_numpy(batch.tgt).long().to(device)
    bos = torch.full_like(self.tgt[:, :1], 1)
    self.inputs = torch.cat([bos, self.tgt[:, :-1]], dim=1)
    self.adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

  def criterion(self):
    logits = self.model(self.src, self.inputs)
    return F.cross_entropy(
      logits.flatten(0, 1),
      self.tgt.flatten(),
      label_smoothing=self.smoothing,
    )

  def loss(self) -> float:
    """Without dropout."""
    self.model.eval()
    with torch.no_grad():
      value = float(self.criterion())
    self.model.train()
    return value

  def step(self) -> None:
    self.adam.zero_grad(set_to_none=True)
    self.criterion().backward()
    nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
    self.adam.step()
