"""Encoder and decoder together: outputs of a batch, and steps for search."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import dropout_masks, layers, scheduled_sampling

Array = Any


class TrainOptions(NamedTuple):
  """How targets are smoothed, and which tokens are fed in training."""

  smoothing: float = 0.0  # probability moved away from the reference
  smoothing_kind: str = "uniform"  # over all tokens, or over the `others`
  # Scheduled sampling; see `scheduled_sampling.reference_probability`.
  schedule: str = "none"  # of the probability that the reference is fed
  granularity: str = "token"  # one draw a token, sequence or step
  pick: str = "argmax"  # the model's token: the most probable, or a `sample`
  rate: float = 1.0
  low: float = 0.0
  k: float = 0.0


# Parameters with one row or column a word, and whose words: they mean nothing
# under another vocabulary. A test compares the list with all models.
VOCABULARY_PARAMS = {
  "params/encoder/embed/table/table": "source",
  "params/decoder/embed_table/table": "target",
  "params/decoder/head/kernel": "target",
  "params/decoder/head/bias": "target",
  "params/ctc_head/kernel": "target",
  "params/ctc_head/bias": "target",
}


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

  def input_table(self):
    """The first layer's input products of all words, or None. [V, G]."""
    return self.decoder.input_table()

  def step(self, memory, carry, tokens, words=None):
    """One step of search. Tokens [B, K] -> carry, log_probs, attention.

    `words` are `input_table`, where they were made beforehand.
    """
    inputs = self.decoder.embed(tokens)
    if words is not None:
      inputs = self.decoder.lookup_inputs(inputs, tokens, words)
    carry, output = self.decoder.advance(memory, carry, inputs)
    log_probs = self.decoder.head.log_probs(memory, output)
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
        specs = self.encoder.mask_specs()
        enc_noise = dropout_masks.draw(fold(keys, 0), batch.src.shape[1], specs)
      specs = self.decoder.mask_specs()
      dec_noise = dropout_masks.draw(fold(keys, 1), batch.tgt.shape[1], specs)
    rows = batch.tgt_len if batch.src is None else batch.src_len
    memory = self.encode(batch.src, rows, enc_noise, batch.src_ext)
    tokens = shifted(references(batch))
    return memory, self.unroll(memory, tokens, dec_noise, sampled)

  def forward(
    self,
    batch: types.Batch,
    keys: Array | None = None,
    options: TrainOptions | None = None,
    batch_key: Array | None = None,
    step: Array | int = 0,
  ) -> tuple[types.Memory, types.Outputs]:
    """Memory and outputs of a batch's targets, for objectives.

    Args:
      batch: B rows.
      keys: the rows' keys [B]; None: no dropout, and the reference is fed.
      options: by default neither smoothing nor sampling.
      batch_key: key of the update.
      step: number of the update, for scheduled sampling.
    """
    options = options or TrainOptions()
    sampled = None
    if keys is not None and options.schedule != "none":
      sampled = self._sampled(batch, keys, options, batch_key, step)
    memory, steps = self(batch, keys, sampled)
    real = target_mask(batch).astype(jnp.float32)
    loss, nll, correct = self.decoder.head.losses(
      memory,
      steps,
      references(batch),
      real,
      options.smoothing,
      options.smoothing_kind,
    )
    return memory, types.Outputs(
      steps, loss, nll * real, correct * real, self, keys
    )

  def losses(
    self,
    batch: types.Batch,
    keys: Array | None = None,
    options: TrainOptions | None = None,
    batch_key: Array | None = None,
    step: Array | int = 0,
  ) -> dict[str, Array]:
    """`loss` [], `nll` [B, T] and `correct` [B, T] of `forward`."""
    _, outputs = self.forward(batch, keys, options, batch_key, step)
    return {
      "loss": outputs.loss,
      "nll": outputs.nll,
      "correct": outputs.correct,
    }

  def _sampled(
    self,
    batch: types.Batch,
    keys: Array,
    options: TrainOptions,
    batch_key: Array | None,
    step: Array | int,
  ) -> scheduled_sampling.Sampled:
    """Draws where the reference is fed, and where the model's own token."""
    reference = scheduled_sampling.reference_probability(
      options.schedule, step, options.rate, options.low, options.k
    )
    uniform = scheduled_sampling.uniform(
      options.granularity, batch_key, fold(keys, 2), batch.tgt.shape[1]
    )
    # Beyond the target's end feed the reference, so that padding never
    # triggers a sampling step.
    uniform = jnp.where(target_mask(batch).T, uniform, -1.0)
    pick_keys = fold(keys, 3) if options.pick == "sample" else None
    return scheduled_sampling.Sampled(reference, uniform, pick_keys)

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
