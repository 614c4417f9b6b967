"""N seeds in one program against N runs one after the other.

    python -m benchmarks.seeds [--seeds 8] [--json FILE]

The Multi30k model's train step (`configs/multi30k_deen.py`, vocabulary 8,000, B
64, S = T = 17); `ratio_to_one` is the time of a step of all seeds over that of
one seed, `ratio_to_runs` over that of as many runs.
"""

from benchmarks import measure, ours
from seq2seq_jax import config

ROWS, LENGTH, SIZE = 64, 17, 8000


def step_of(seeds: int) -> measure.Program:
  """Returns the step of several replicas, with one's number of parameters."""
  measure.setup()
  conf = config.load("configs/multi30k_deen.py")
  batch = ours.batch(ROWS, LENGTH, LENGTH, SIZE)
  trainer = ours.Trainer(conf, SIZE, batch, seeds)
  return trainer.step, {"parameters": trainer.size()}


def main() -> None:
  """Measures and reports."""
  p = measure.parser(__doc__)
  p.add_argument("--seeds", type=int, default=8)
  args = p.parse_args()
  programs = {
    "one": measure.Subprocess(step_of, 1),
    "together": measure.Subprocess(step_of, args.seeds),
  }
  seconds = measure.interleave(programs, args.rounds or 8)
  ratio = measure.ratio(seconds, "together", "one")
  measure.report(
    args,
    {
      "parameters": programs["one"].facts["parameters"],
      "seeds": args.seeds,
      "seconds_one": measure.quartiles(seconds["one"]),
      "seconds_together": measure.quartiles(seconds["together"]),
      "ratio_to_one": ratio,
      "ratio_to_runs": {k: v / args.seeds for k, v in ratio.items()},
    },
  )


if __name__ == "__main__":
  main()
