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
  own_end: bool = False  # a target ends where the model feeds itself EOS


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
  ctc_head: nn.Module | None = None  # logits of each position of the memory

  def encode(
    self,
    src: Array | None,
    src_len: Array,
    masks: dropout_masks.Masks | None = None,
    source: Array | None = None,
  ) -> types.Memory:
    """Reads the source and prepares it for the decoder's steps.

    Args:
      src: [B, S] ids or [B, S, F] frames; None for a language model.
      src_len: [B]; of a language model it only counts the rows.
      masks: of dropout; None for none.
      source: [B, S] ids in the extended vocabulary, if the model copies.
    """
    if self.encoder is None:
      rows = src_len.shape[0]
      memory = types.Memory(
        jnp.zeros((rows, 1, 0), jnp.float32), jnp.ones((rows, 1), bool), ()
      )
    else:
      memory = self.encoder(src, src_len, masks)
    return self.decoder.prepare(memory._replace(source=source))

  def start(self, memory: types.Memory, steps: int = 1) -> Any:
    """The decoder's carry before the first of at most `steps` steps."""
    return self.decoder.start(memory, steps)

  def input_table(self) -> Array | None:
    """The first layer's input products of all words [V, G], if it has any."""
    return self.decoder.input_table()

  def step(
    self,
    memory: types.Memory,
    carry: Any,
    tokens: Array,
    table: Array | None = None,
  ) -> tuple[Any, Array, Array | None]:
    """One step of search (`contracts.StepFn`).

    Args:
      memory: prepared, shared by the K hypotheses of a source.
      carry: leaves [B, K, ...].
      tokens: [B, K] of the step before.
      table: `input_table`, if it was computed beforehand.

    Returns:
      The carry, log-probabilities [B, K, V + X], and attention weights
      [B, K, M] or None.
    """
    inputs = self.decoder.embed(tokens)
    if table is not None:
      inputs = self.decoder.lookup_inputs(inputs, tokens, table)
    carry, output = self.decoder.advance(memory, carry, inputs)
    log_probs = self.decoder.head.log_probs(memory, output)
    return carry, log_probs, output.attention

  def ctc_logits(self, memory: types.Memory) -> Array:
    """Logits of the labels at each position of the memory [B, M, V].

    The blank has pad's id. Only a model with a `ctc_head` has them.
    """
    assert self.ctc_head is not None
    return self.ctc_head(memory.values)

  def unroll(
    self,
    memory: types.Memory,
    tokens: Array,
    masks: dropout_masks.Masks | None = None,
  ) -> types.StepOutput:
    """All T steps with the given inputs.

    Args:
      memory: prepared.
      tokens: [B, T] inputs of the steps.
      masks: of dropout; None for none.
    """
    return self.decoder.unroll(memory, tokens, masks)

  def __call__(
    self,
    batch: types.Batch,
    keys: Array | None = None,
    sampled: scheduled_sampling.Sampled | None = None,
  ) -> tuple[types.Memory, types.StepOutput]:
    """The memory and the outputs of a batch's steps.

    Args:
      batch: B rows.
      keys: the rows' keys for dropout [B], or None for none.
      sampled: for scheduled sampling, else the reference is fed.
    """
    memory, _, steps = self._run(batch, keys, sampled)
    return memory, steps

  def _run(
    self,
    batch: types.Batch,
    keys: Array | None,
    sampled: scheduled_sampling.Sampled | None,
  ) -> tuple[types.Memory, Array, types.StepOutput]:
    """The memory, the inputs of the steps [B, T], and the steps' outputs."""
    encoder_masks = decoder_masks = None
    if keys is not None:
      if self.encoder is not None and batch.src is not None:
        encoder_masks = dropout_masks.draw(
          fold(keys, 0), batch.src.shape[1], self.encoder.mask_specs()
        )
      decoder_masks = dropout_masks.draw(
        fold(keys, 1), batch.tgt.shape[1], self.decoder.mask_specs()
      )
    rows = batch.tgt_len if batch.src is None else batch.src_len
    memory = self.encode(batch.src, rows, encoder_masks, batch.src_ext)
    tokens = shifted(references(batch))
    if sampled is not None:
      tokens = scheduled_sampling.inputs_of(
        self, memory, tokens, decoder_masks or {}, sampled
      )
    return memory, tokens, self.unroll(memory, tokens, decoder_masks)

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
    memory, inputs, steps = self._run(batch, keys, sampled)
    real = counted = target_mask(batch).astype(jnp.float32)
    if sampled is not None and options.own_end:
      counted = real * scheduled_sampling.before_own_end(inputs)
    loss, nll, correct = self.decoder.head.losses(
      memory,
      steps,
      references(batch),
      counted,
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

  def initialize(self, batch: types.Batch) -> Any:
    """Touches every parameter, outside of any loop; for `init` alone."""
    rows = batch.tgt_len if batch.src is None else batch.src_len
    memory = self.encode(batch.src, rows, None, batch.src_ext)
    if self.ctc_head is not None:
      self.ctc_head(memory.values)
    return self.step(memory, self.start(memory), batch.tgt[:, :1])


def fold(keys: Array, i: int) -> Array:
  """The i-th key of every row. [B]."""
  return jax.vmap(lambda key: jax.random.fold_in(key, i))(keys)


def references(batch: types.Batch) -> Array:
  """Targets, in the extended vocabulary if the model copies. [B, T]."""
  return batch.tgt if batch.tgt_ext is None else batch.tgt_ext


def shifted(tgt: Array) -> Array:
  """Decoder inputs: bos, then all targets but the last. [B, T]."""
  bos = jnp.full_like(tgt[:, :1], types.BOS)
  return jnp.concatenate([bos, tgt[:, :-1]], axis=1)


def target_mask(batch: types.Batch) -> Array:
  """True over real target tokens. [B, T]."""
  return layers.length_mask(batch.tgt_len, batch.tgt.shape[1])
