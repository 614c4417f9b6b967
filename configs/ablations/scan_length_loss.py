"""Lake & Baroni 2018 (arXiv 1711.00350), SCAN: the loss of long targets.

    python -m seq2seq_jax.ablate configs/ablations/scan_length_loss.py \\
      --workdir runs/table

The length split has targets of up to 22 actions in training and of 24 to 48 in
the test. The paper does not say how an example's loss is put together. Here
and in `scan.py` it is the mean over its tokens. The training loop of PyTorch's
translation tutorial, whose defaults the paper's other settings resemble, sums
over tokens and clips the gradient of the sum, and where the decoder feeds
itself it stops at its own end of sentence, so that nothing behind it is
learnt. Both are tried, on both models, with the protocol of `scan.py`.

To be seen: whether one of them explains the 10 points by which the top model
stays below the paper's mean. Generated data.
"""

from seq2seq_jax.ablation import orderings, suite

TOP = (
  *("--model.attention.score", "additive"),
  *("--model.decoder.placement", "bahdanau"),
  *("--model.readout.inputs", "state_context"),
  *("--model.encoder.cell", "gru"),
  *("--model.encoder.layers", "1", "--model.decoder.layers", "1"),
  *("--model.embed_dim", "50", "--model.encoder.dim", "50"),
  *("--model.decoder.dim", "50", "--model.attention.dim", "50"),
)
MODELS = {"overall-best": (), "top": TOP}
SUM = ("--optim.normalize", "sentences")
LOSSES = {
  "sum": SUM,
  "sum, own end": (*SUM, "--optim.sampling_own_end", "True"),
  "mean": (),
}


def _row(model: str, loss: str) -> suite.Row:
  """A row; it is compared with the same model's mean over tokens."""
  return suite.Row(
    f"{model}, {loss}",
    ("--data.name", "length", *MODELS[model], *LOSSES[loss]),
    f"lake_baroni2018/scan/length, {model}",
    1,
    f"{model}, mean",
  )


def get_ablation() -> suite.Ablation:
  return suite.Ablation(
    title="SCAN, the loss of long targets",
    paper="Lake & Baroni 2018 (arXiv 1711.00350)",
    base="lake_baroni2018.py",
    rows=tuple(_row(model, loss) for loss in LOSSES for model in MODELS),
    metric="exact_match",
    reference="overall-best, mean",
    orderings=(
      *(
        orderings.near(f"{model}, {loss}", published, 8)
        for model, published in (("overall-best", 13.8), ("top", 20.8))
        for loss in LOSSES
      ),
      *(
        orderings.above(f"{model}, {loss}", f"{model}, mean")
        for model in MODELS
        for loss in ("sum", "sum, own end")
      ),
      *(
        orderings.above(f"top, {loss}", f"overall-best, {loss}")
        for loss in LOSSES
      ),
    ),
    scales={
      "smoke": (
        *("--train.steps", "500", "--train.validate_every", "500"),
        *("--data.limit", "500", "--decode.max_extra", "20"),
        *("--data.buckets", "1"),
      ),
      "cpu": (),
      "gpu": (),
    },
    checkpoint="last",
    bins=(4, 6, 8),
    note=(
      "The models and the protocol are those of the table SCAN; the loss of an "
      'example is the sum or the mean over its tokens, and with "own end" a '
      "target that the model feeds itself ends at the model's own EOS."
    ),
  )
