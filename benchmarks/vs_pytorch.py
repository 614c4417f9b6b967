"""The peer in PyTorch, as its best users write it.

`nn.LSTM` for the encoder. In the decoder the input products of all steps are
made before the loop, the attention's keys once, and the readouts of all steps
go through one output layer. Fused Adam, `F.cross_entropy(label_smoothing=)`.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq_jax import config, types


class Model(nn.Module):
  """An attentional encoder-decoder (Luong et al. 2015, general score)."""

  def __init__(
    self,
    size: int,
    embed: int,
    encoder: int,
    decoder: int,
    readout: int,
    dropout: float,
    bridge: bool,
    feeding: bool = True,
  ):
    """Makes a model.

    Args:
      size: of both vocabularies.
      embed: width of embeddings.
      encoder: width of the encoder in each direction.
      decoder: width of the decoder.
      readout: width of the readout.
      dropout: rate.
      bridge: dense layers between the encoder's last and the decoder's first
        states; else they are copied.
      feeding: input feeding.
    """
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

  def drop(self, x: Tensor) -> Tensor:
    """Returns x with dropout, in training."""
    return F.dropout(x, self.dropout, self.training)

  def encode(
    self, src: Tensor, lengths: Tensor | None = None
  ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns values and keys [B, S, D], h and c [B, D] of src [B, S]."""
    x = self.drop(self.source(src))
    if lengths is None:
      values, (h, c) = self.encoder(x)
    else:
      packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
      values, (h, c) = self.encoder(packed)
      values, _ = nn.utils.rnn.pad_packed_sequence(values, batch_first=True)
    h, c = (torch.cat([x[0], x[1]], dim=-1) for x in (h, c))
    if self.bridge is not None:
      c, h = (torch.tanh(f(x)) for f, x in zip(self.bridge, (c, h)))
    values = self.drop(values)
    return values, self.keys(values), h, c

  def weights(self) -> Tensor:
    """Returns feed's and state's matrix as one: a single product a step."""
    return torch.cat([self.feed.weight, self.recurrent.weight], dim=1)

  def step(
    self,
    gates: Tensor,
    memory: tuple[Tensor, Tensor],
    feed: Tensor,
    h: Tensor,
    c: Tensor,
    weights: Tensor,
    mask: Tensor | None = None,
  ) -> tuple[Tensor, Tensor, Tensor]:
    """Returns readout, h and c of one step.

    Args:
      gates: [B, 4H] products of the input.
      memory: values and keys [B, S, D].
      feed: [B, R] readout of the step before.
      h: [B, H].
      c: [B, H].
      weights: see `weights`.
      mask: [B, S] real source positions.
    """
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

  def forward(self, src: Tensor, inputs: Tensor) -> Tensor:
    """Returns logits [B, T, V] of all steps; src [B, S], inputs [B, T]."""
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

  def without_feeding(
    self, inputs: Tensor, values: Tensor, keys: Tensor, h: Tensor, c: Tensor
  ) -> Tensor:
    """Returns logits; one LSTM, then attention of all steps at once."""
    cell = self.plain
    x = self.drop(self.target(inputs))
    h, _ = cell(x, (h[None], c[None]))
    scores = torch.bmm(h, keys.transpose(1, 2))
    context = torch.bmm(torch.softmax(scores, dim=2), values)
    read = torch.cat([self.drop(h), context], dim=2)
    return self.output(self.drop(torch.tanh(self.readout(read))))


def from_ours(
  params: Any, conf: config.Config, dropout: float, feeding: bool = True
) -> Model:
  """Returns the peer with the same weights."""
  m = conf.model
  encoder, decoder = params["params"]["encoder"], params["params"]["decoder"]
  # Tied tables are one parameter of ours, and copies in the peer.
  table = decoder.get("embed_table", encoder["embed"]["table"])["table"]
  head = decoder["head"]["kernel"] if m.tie == "none" else np.transpose(table)
  source = encoder["embed"]["table"]["table"] if m.tie != "all" else table
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

  _put(model.source.weight, source)
  _put(model.target.weight, table)
  _copy_encoder(model, encoder)
  _copy_decoder(model, decoder)
  _put(model.output.weight, head, True)
  _put(model.output.bias, decoder["head"]["bias"])
  return model


def _put(to: Any, value: Any, transposed: bool = False) -> None:
  array = np.array(value)
  to.data.copy_(torch.from_numpy(array.T if transposed else array))


def _copy_encoder(model: Model, params: Any) -> None:
  for name, suffix in (("forward_0", "l0"), ("backward_0", "l0_reverse")):
    weights = {
      kind: getattr(model.encoder, f"{kind}_{suffix}")
      for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    _put(weights["weight_ih"], params[name]["kernel"], True)
    _put(weights["weight_hh"], params[name]["recurrent"], True)
    _put(weights["bias_ih"], params[name]["bias"])
    weights["bias_hh"].data.zero_()  # ours has one bias


def _copy_decoder(model: Model, params: Any) -> None:
  if model.bridge is not None:
    for i, layer in enumerate(model.bridge):
      ours = params["start_bridge"][f"layer_0_{i}"]
      _put(layer.weight, ours["kernel"], True)
      _put(layer.bias, ours["bias"])
  cell = params["layer_0"]
  _put(model.inputs.weight, cell["kernel"], True)
  _put(model.inputs.bias, cell["bias"])
  _put(model.feed.weight, cell["feed_0"], True)
  _put(model.recurrent.weight, cell["recurrent"], True)
  _put(model.keys.weight, params["attention"]["score"]["key"], True)
  _put(model.readout.weight, params["readout_layer"]["kernel"], True)
  _put(model.readout.bias, params["readout_layer"]["bias"])


class Trainer:
  """The peer's training step on the same batch."""

  def __init__(
    self,
    model: Model,
    batch: types.Batch,
    smoothing: float,
    clip: float,
    device: str = "cpu",
  ):
    """Makes a trainer.

    Args:
      model: on the device.
      batch: of full rows.
      smoothing: of the labels.
      clip: largest norm of the gradient.
      device: PyTorch's name of it.
    """
    self.model, self.smoothing, self.clip = model, smoothing, clip
    self.src = torch.from_numpy(batch.src).long().to(device)
    self.tgt = torch.from_numpy(batch.tgt).long().to(device)
    bos = torch.full_like(self.tgt[:, :1], 1)
    self.inputs = torch.cat([bos, self.tgt[:, :-1]], dim=1)
    self.adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

  def criterion(self) -> Tensor:
    """Returns the mean smoothed loss."""
    logits = self.model(self.src, self.inputs)
    return F.cross_entropy(
      logits.flatten(0, 1),
      self.tgt.flatten(),
      label_smoothing=self.smoothing,
    )

  def loss(self) -> float:
    """Returns the mean smoothed loss without dropout."""
    self.model.eval()
    with torch.no_grad():
      value = float(self.criterion())
    self.model.train()
    return value

  def step(self) -> None:
    """Makes one update."""
    self.adam.zero_grad(set_to_none=True)
    self.criterion().backward()
    nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
    self.adam.step()
