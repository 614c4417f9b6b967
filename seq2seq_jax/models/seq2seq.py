"""Encoder and decoder together: losses of a batch, and steps for search."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from seq2seq_jax import types
from seq2seq_jax.models import dropout_masks, layers, scheduled_sampling


class Losses(NamedTuple):
  """What is trained for, and with which inputs."""

  smoothing: float = 0.0
  form: str = "uniform"
  coverage: float = 0.0  # weight of See et al.'s coverage loss
  ctc: float = 0.0  # weight of CTC on the encoder; 1 - ctc of the decoder's
  course: str = "none"  # of scheduled sampling, see `sampling`
  unit: str = "token"  # of its coins
  choice: str = "argmax"  # or sample
  rate: float = 1.0
  low: float = 0.0
  k: float = 0.0


class Seq2Seq(nn.Module):
  """A decoder, with an encoder unless it is a language model."""

  encoder: nn.Module | None
  decoder: nn.Module
  ctc_head: nn.Module | None = None

  def encode(self, src, src_len, noise=None, source=None) -> types.Memory:
    """Reads the source and prepares it for the decoder's steps.

    Args:
      src: [B, S] or [B, S, F], or None for a language model.
      src_len: [B]; of a language model it only counts the rows.
      noise: masks.
      source: [B, S] ids in the extended vocabulary, where the model copies.
    """
    if self.encoder is None:
      rows = src_len.shape[0]
      memory = types.Memory(
        jnp.zeros((rows, 1, 0), jnp.float32), jnp.ones((rows, 1), bool), ()
      )
    else:
      memory = self.encoder(src, src_len, noise)
    return self.decoder.prepare(memory._replace(source=source))

  def start(self, memory, steps: int = 1):
    return self.decoder.start(memory, steps)

  def gates_of_words(self):
    """The first layer's input products of all words, or None. [V, G]."""
    return self.decoder.gates_of_words()

  def step(self, memory, carry, tokens, words=None):
    """One step of search. Tokens [B, K] -> carry, log_probs, attention.

    `words` are `gates_of_words`, where they were made beforehand.
    """
    inputs = self.decoder.embed(tokens)
    if words is not None:
      inputs = self.decoder.looked_up(inputs, tokens, words)
    carry, output = self.decoder.advance(memory, carry, inputs)
    log_probs = self.decoder.log_probs(memory, output)
    return carry, log_probs, output.attention

  def unroll(self, memory, tokens, noise=None, sampled=None):
    """All steps with the given inputs. Tokens [B, T] -> StepOutput of T.

    With `sampled` some of them are the model's own.
    """
    if sampled is not None:
      tokens = scheduled_sampling.inputs_of(
        self, memory, tokens, noise or {}, sampled
      )
    return self.decoder.unroll(memory, tokens, noise)

  def __call__(self, batch: types.Batch, keys=None, sampled=None):
    """Outputs of a batch's steps.

    Args:
      batch: B rows.
      keys: the rows' keys for dropout [B], or None for none.
      sampled: for scheduled sampling, else the reference is fed.
    """
    enc_noise, dec_noise = None, None
    if keys is not None:
      if self.encoder is not None:
        masks = self.encoder.masks()
        enc_noise = dropout_masks.draw(fold(keys, 0), batch.src.shape[1], masks)
      masks = self.decoder.masks()
      dec_noise = dropout_masks.draw(fold(keys, 1), batch.tgt.shape[1], masks)
    rows = batch.tgt_len if batch.src is None else batch.src_len
    memory = self.encode(batch.src, rows, enc_noise, batch.src_ext)
    tokens = shifted(references(batch))
    return memory, self.unroll(memory, tokens, dec_noise, sampled)

  def losses(
    self, batch: types.Batch, keys=None, what=None, batch_key=None, step=0
  ):
    """The sum that is trained for, and terms of tokens, 0 over padding.

    `loss` [] over all real tokens; `nll` [B, T] and `correct` [B, T] (the
    reference is the most probable); `ctc` [B] where it is trained for.

    Args:
      batch: B rows.
      keys: the rows' keys [B]; None: no dropout, and the reference is fed.
      what: `Losses`, by default the plain likelihood.
      batch_key: key of the update.
      step: the update, for scheduled sampling's course.
    """
    what = what or Losses()
    sampled = None
    if keys is not None and what.course != "none":
      gold = scheduled_sampling.gold_probability(
        what.course, step, what.rate, what.low, what.k
      )
      coins = scheduled_sampling.coins(
        what.unit, batch_key, fold(keys, 2), batch.tgt.shape[1]
      )
      # Gold behind the end: no step is made for it.
      coins = jnp.where(target_mask(batch).T, coins, -1.0)
      own = fold(keys, 3) if what.choice == "sample" else None
      sampled = scheduled_sampling.Sampled(gold, coins, own)
    memory, output = self(batch, keys, sampled)
    real = target_mask(batch).astype(jnp.float32)
    loss, nll, correct = self.decoder.losses(
      memory, output, references(batch), real, what.smoothing, what.form
    )
    if what.coverage:
      missed = coverage_losses(output.attention)
      loss = loss + what.coverage * jnp.sum(missed * real)
    terms = {"loss": loss, "nll": nll * real, "correct": correct * real}
    if what.ctc:
      terms["loss"] = (1.0 - what.ctc) * terms["loss"]
      terms["ctc"] = what.ctc * self.ctc_losses(memory, batch)
    return terms

  def ctc_losses(self, memory, batch: types.Batch):
    """-log P of the targets under CTC on the memory (Graves 2006). [B].

    The blank is pad's id; EOS is left out. Where a target is longer than the
    memory no alignment exists: such rows are left out.
    """
    logits = self.ctc_head(memory.values)
    steps = jnp.arange(batch.tgt.shape[1], dtype=jnp.int32)
    silent = (steps[None] >= batch.tgt_len[:, None] - 1).astype(jnp.float32)
    padded = 1.0 - memory.mask.astype(jnp.float32)
    loss = optax.ctc_loss(logits, padded, batch.tgt, silent, blank_id=types.PAD)
    room = jnp.sum(memory.mask, axis=1, dtype=jnp.int32)
    repeated = (batch.tgt[:, 1:] == batch.tgt[:, :-1]) & (silent[:, 1:] == 0)
    need = batch.tgt_len - 1 + jnp.sum(repeated, axis=1, dtype=jnp.int32)
    return jnp.where((need <= room) & (batch.tgt_len > 0), loss, 0.0)

  def initialize(self, batch: types.Batch):
    """Touches every parameter, outside of any loop; for `init` alone."""
    rows = batch.tgt_len if batch.src is None else batch.src_len
    memory = self.encode(batch.src, rows, None, batch.src_ext)
    if self.ctc_head is not None:
      self.ctc_head(memory.values)
    return self.step(memory, self.start(memory), batch.tgt[:, :1])


def fold(keys, i: int):
  """The i-th key of every row. [B]."""
  return jax.vmap(lambda key: jax.random.fold_in(key, i))(keys)


def references(batch: types.Batch):
  """Targets, in the extended vocabulary where the model copies. [B, T]."""
  return batch.tgt if batch.tgt_ext is None else batch.tgt_ext


def shifted(tgt):
  """Decoder inputs: bos, then all targets but the last. [B, T]."""
  bos = jnp.full_like(tgt[:, :1], types.BOS)
  return jnp.concatenate([bos, tgt[:, :-1]], axis=1)


def target_mask(batch: types.Batch):
  """[B, T] True over real target tokens."""
  return layers.length_mask(batch.tgt_len, batch.tgt.shape[1])


def coverage_losses(weights):
  """sum_i min(α_ti, sum of α_i before t) (See et al. 2017). [B, T]."""
  before = jnp.cumsum(weights, axis=1) - weights
  return jnp.sum(jnp.minimum(weights, before), axis=-1)
