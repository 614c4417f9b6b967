"""Lake & Baroni 2018 (arXiv 1711.00350), SCAN: a few composed uses of "jump".

    python -m seq2seq_jax.ablate configs/ablations/scan_jump_examples.py \\
      --workdir runs/table

Where training has "jump" alone, hardly any command that is composed with it
comes out right. Here 8, 16 or 32 of these are trained too; with the primitive
they make 10 % of the lines. The model is the best one of the split, and the
protocol that of `scan.py`.

To be seen: with more examples more of the other commands are right, most of
them with 32. Generated data.
"""

from seq2seq_jax.ablation import orderings, suite, sweep

NONE = "none"
MODEL = (
  *(
    "--model.attention.score",
    "additive",
    "--model.decoder.placement",
    "bahdanau",
  ),
  *("--model.readout.inputs", "state_context"),
  *("--model.encoder.layers", "1", "--model.decoder.layers", "1"),
  *("--model.embed_dim", "100", "--model.encoder.dim", "100"),
  *("--model.decoder.dim", "100", "--model.attention.dim", "100"),
  *("--model.dropout.embed", "0.1", "--model.dropout.rnn", "0.1"),
)
SMOKE = (
  *("--train.steps", "500", "--train.validate_every", "500"),
  *("--data.limit", "500", "--decode.max_extra", "20"),
  *("--data.buckets", "1"),
)


def get_ablation() -> suite.Ablation:
  more = [
    suite.Row(str(k), f"--data.name addprim_jump_{k}", reference=NONE)
    for k in (8, 16, 32)
  ]
  return suite.Ablation(
    title="SCAN, examples of jump",
    paper="Lake & Baroni 2018 (arXiv 1711.00350)",
    base="lake_baroni2018.py",
    rows=(
      suite.Row(
        NONE, "--data.name addprim_jump", "lake_baroni2018/scan/jump, top"
      ),
      *sweep.with_published(more, "lake_baroni2018/jump_composed"),
    ),
    metric="exact_match",
    reference=NONE,
    orderings=(
      orderings.near("8", 38.3, 15),
      orderings.near("16", 77.8, 15),
      orderings.near("32", 88.4, 15),
      *orderings.rising((NONE, "8", "16", "32")),
    ),
    scales={"smoke": (*MODEL, *SMOKE), "cpu": MODEL},
    checkpoint="last",
    bins=(4, 6, 8),
    note=(
      "The examples are drawn once, the same for all seeds, where the paper "
      "draws anew for each of five runs; a row's test part lacks its examples. "
      "Training has 14,670 lines like the split without examples; the "
      "published files have 14,665 or 14,655. "
      "Initial weights, which the paper leaves open, are PyTorch's."
    ),
  )
