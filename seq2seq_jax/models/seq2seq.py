"""Encoder and decoder together: losses of a batch, and steps for search."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import noise as noises
from seq2seq_jax.models import recurrence


class Seq2Seq(nn.Module):
  """A decoder, with an encoder unless it is a language model."""

  encoder: nn.Module | None
  decoder: nn.Module

  def encode(self, src, src_len, noise=None) -> types.Memory:
    """Reads the source and prepares it for the decoder's steps.

    Args:
      src: [B, S], or None for a language model.
      src_len: [B]; of a language model it only counts the rows.
    """
    if self.encoder is None:
      rows = src_len.shape[0]
      memory = types.Memory(
        jnp.zeros((rows, 1, 0), jnp.float32), jnp.ones((rows, 1), bool), ()
      )
    else:
      memory = self.encoder(src, src_len, noise)
    return self.decoder.prepare(memory)

  def start(self, memory):
    return self.decoder.start(memory)

  def step(self, memory, carry, tokens):
    """One step of search. Tokens [B, K] -> carry, log_probs, attention."""
    inputs = self.decoder.embed(tokens)
    carry, output = self.decoder.advance(memory, carry, inputs)
    log_probs = self.decoder.log_probs(memory, output)
    return carry, log_probs, output.attention

  def unroll(self, memory, tokens, noise=None) -> types.StepOutput:
    """All steps with the given inputs. Tokens [B, T] -> StepOutput of T.

    Scans the very step of search; where nothing feeds back, attention and
    readout of all steps are computed at once behind the recurrence.
    """
    carry = self.decoder.start(memory)
    inputs = self.decoder.embed(tokens, noise)
    steps = inputs.swapaxes(0, 1)[:, :, None]  # [T, B, 1, G]
    decoder, variables = self.decoder.unbind()
    inner = dict(noise or {})
    inner.pop("embed", None)
    looped, after = inner, {}
    if not decoder.feeds_back():
      last = (f"layer_{decoder.layers - 1}", "readout")
      after = {k: v.swapaxes(0, 1) for k, v in inner.items() if k in last}
      looped = {k: v for k, v in inner.items() if k not in last}
    looped = {k: v[:, :, None] for k, v in looped.items()}

    def whole(carry, xs):
      x, noise = xs
      return decoder.apply(variables, memory, carry, x, noise, method="advance")

    def recur(carry, xs):
      x, noise = xs
      carry, top, _ = decoder.apply(
        variables, memory, carry, x, noise, method="recur"
      )
      return carry, top

    flat = lambda y: y[:, :, 0].swapaxes(0, 1)  # [T, B, 1, D] -> [B, T, D]
    if decoder.feeds_back():
      _, outputs = recurrence.scan(whole, carry, (steps, looped))
      outputs = outputs._replace(extra={})
      return jax.tree.map(flat, outputs)
    _, tops = recurrence.scan(recur, carry, (steps, looped))
    top = flat(tops)
    return self.decoder.read(
      memory, top, self.decoder.attend(memory, top), after
    )

  def __call__(self, batch: types.Batch, keys=None):
    """Teacher-forced outputs of a batch.

    Args:
      batch: B rows.
      keys: the rows' keys for dropout [B], or None for none.
    """
    enc_noise, dec_noise = None, None
    if keys is not None:
      key = lambda i: jax.vmap(lambda k: jax.random.fold_in(k, i))(keys)
      if self.encoder is not None:
        enc_noise = noises.draw(
          key(0), batch.src.shape[1], self.encoder.noise_widths()
        )
      dec_noise = noises.draw(
        key(1), batch.tgt.shape[1], self.decoder.noise_widths()
      )
    rows = batch.tgt_len if batch.src is None else batch.src_len
    memory = self.encode(batch.src, rows, enc_noise)
    return memory, self.unroll(memory, shifted(batch.tgt), dec_noise)

  def losses(
    self, batch: types.Batch, keys=None, smoothing=0.0, form="uniform"
  ):
    """Per-token terms of a batch, 0 over padding. Dict of [B, T].

    `loss` (smoothed), `nll`, `correct` (the reference is the most probable).
    """
    memory, output = self(batch, keys)
    loss, nll, correct = self.decoder.losses(
      memory, output, batch.tgt, smoothing, form
    )
    real = target_mask(batch).astype(jnp.float32)
    return {"loss": loss * real, "nll": nll * real, "correct": correct * real}

  def initialize(self, batch: types.Batch):
    """Touches every parameter, outside of any loop; for `init` alone."""
    rows = batch.tgt_len if batch.src is None else batch.src_len
    memory = self.encode(batch.src, rows)
    return self.step(memory, self.start(memory), batch.tgt[:, :1])


def shifted(tgt):
  """Decoder inputs: bos, then all targets but the last. [B, T]."""
  bos = jnp.full_like(tgt[:, :1], types.BOS)
  return jnp.concatenate([bos, tgt[:, :-1]], axis=1)


def target_mask(batch: types.Batch):
  """[B, T] True over real target tokens."""
  steps = jnp.arange(batch.tgt.shape[1], dtype=jnp.int32)
  return steps[None] < batch.tgt_len[:, None]
