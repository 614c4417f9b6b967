"""Bengio et al. 2015 (arXiv 1506.03099): whose words the decoder is fed.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/scheduled_sampling.py \\
      --workdir runs/scheduled_sampling

Multi30k, German to English, the model of `multi30k_gru.py`. The reference's
words alone; always the model's own; or own words ever more often, by the
paper's three schedules, with a coin for every word or one for a sentence.

To be seen: feeding the model's words alone is far worse than a schedule. That a
schedule beats the reference's words is recalled, unconfirmed, and not judged.
"""

from seq2seq_jax.ablation import orderings, suite

SIGMOID = "--optim.sampling inverse_sigmoid --optim.sampling_k"
LINEAR = "--optim.sampling linear --optim.sampling_low 0.25 --optim.sampling_k"
EXPONENTIAL = "--optim.sampling exponential --optim.sampling_k"


STEPS = 1500


def _rows() -> list[suite.Row]:
  """Schedules that end where most of the words are the model's own."""
  sigmoid = f"{SIGMOID} 250 --optim.sampling_pick sample"
  published = "bengio2015/captions"
  return [
    suite.Row("baseline", (), f"{published}/baseline"),
    suite.Row(
      "always sampling",
      "--optim.sampling constant --optim.sampling_rate 0 "
      "--optim.sampling_pick sample",
      f"{published}/always sampling",
    ),
    suite.Row("inverse sigmoid", sigmoid, f"{published}/scheduled sampling"),
    suite.Row(
      "linear", f"{LINEAR} {0.75 / STEPS:g} --optim.sampling_pick sample"
    ),
    suite.Row(
      "exponential",
      f"{EXPONENTIAL} {0.3 ** (1 / STEPS):.6f} --optim.sampling_pick sample",
    ),
    suite.Row(
      "a coin a sentence", f"{sigmoid} --optim.sampling_granularity sequence"
    ),
    suite.Row("most probable word", f"{sigmoid} --optim.sampling_pick argmax"),
  ]


def get_ablation() -> suite.Ablation:
  return suite.Ablation(
    title="Scheduled sampling",
    paper="Bengio et al. 2015 (arXiv 1506.03099)",
    base="multi30k_gru.py",
    rows=tuple(_rows()),
    metric="bleu",
    metrics=("loss",),
    reference="baseline",
    orderings=(
      orderings.above("inverse sigmoid", "always sampling", by=3),
      orderings.above("inverse sigmoid", "baseline", judged=False),
      orderings.above("inverse sigmoid", "a coin a sentence", judged=False),
      orderings.above("baseline", "always sampling", judged=False),
    ),
    scales={
      "smoke": (
        *("--train.steps", "60", "--train.validate_every", "60"),
        *("--data.limit", "2000", "--model.embed_dim", "32"),
        *("--model.encoder.dim", "32", "--model.decoder.dim", "32"),
        *("--model.attention.dim", "32", "--model.readout.dim", "32"),
        *("--decode.beam_size", "1", "--data.buckets", "1"),
      ),
      "cpu": (
        *("--data.limit", "10000", "--train.steps", str(STEPS)),
        *("--train.validate_every", "500", "--model.embed_dim", "128"),
        *("--model.encoder.dim", "128", "--model.decoder.dim", "128"),
        *("--model.attention.dim", "128", "--model.readout.dim", "128"),
      ),
      "gpu": (
        *("--model.encoder.dim", "512", "--model.decoder.dim", "512"),
        *("--model.attention.dim", "512", "--train.steps", str(STEPS)),
        *("--data.batch_size", "256", "--train.validate_every", "500"),
      ),
    },
    note=(
      "Published: captions of MSCOCO, BLEU-4. Schedules are counted in updates "
      "and made for the 1,500 of the scales cpu and gpu."
    ),
  )
