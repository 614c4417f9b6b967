"""Cost of a train step against length, batch, width, depth and vocabulary.

    python -m benchmarks.scaling [--json FILE] [--plot FILE.png]

One size of the 11.6 M parameter model is changed at a time. Beside the
milliseconds of a step stand those of its products at the machine's own rate.
"""

from collections.abc import Mapping, Sequence

from benchmarks import measure, ours, products

BASE = {"length": 16, "batch": 64, "width": 512, "depth": 1, "vocabulary": 7000}
POINTS = {
  "length": (8, 16, 32, 64),
  "batch": (16, 32, 64, 128),
  "width": (128, 256, 512, 1024),
  "depth": (1, 2, 3),
  "vocabulary": (1000, 4000, 7000, 16000, 32000),
}


def step_of(point: Mapping[str, int]) -> measure.Program:
  """Returns the step of a model of some sizes, with its products' flops."""
  measure.setup()
  width = point["width"]
  conf = ours.medium(
    **{
      "encoder.dim": width // 2,
      "decoder.dim": width,
      "readout.dim": width,
      "encoder.layers": point["depth"],
      "decoder.layers": point["depth"],
    }
  )
  size = point["vocabulary"]
  batch = ours.batch(point["batch"], point["length"], point["length"], size)
  trainer = ours.Trainer(conf, size, batch)
  tables = 2 * size * conf.model.embed_dim  # looked up, not multiplied
  flops = 6 * (trainer.size() - tables) * point["batch"] * point["length"]
  return trainer.step, {"flops": flops}


def large_product() -> measure.Program:
  """Returns one large product, with its floating-point operations."""
  measure.setup()
  program, flops = products.large_product()
  return program, {"flops": flops}


def plot(
  curves: Mapping[str, Sequence[Mapping[str, float]]], path: str
) -> None:
  """Draws a panel a size: the step's time, and that of its products."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot

  figure, panels = pyplot.subplots(
    1, len(curves), figsize=(2.6 * len(curves), 3), sharey=True
  )
  for panel, (name, points) in zip(panels, curves.items(), strict=True):
    xs = [point["value"] for point in points]
    steps = [point["milliseconds"] for point in points]
    panel.plot(xs, steps, "o-", label="step")
    floor = [point["products"] for point in points]
    panel.plot(xs, floor, "--", label="its products")
    panel.set(title=name, xscale="log", yscale="log", xticks=xs)
    panel.set_xticklabels([f"{x // 1000}k" if x >= 4000 else x for x in xs])
    panel.minorticks_off()
    panel.grid(alpha=0.3)
  panels[0].yaxis.set_major_formatter("{x:g}")
  panels[0].set_ylabel("milliseconds a step")
  panels[0].legend(loc="lower right")
  figure.tight_layout()
  figure.savefig(path, dpi=120)


def measured(
  name: str, value: int, rounds: int, rate: float
) -> dict[str, float]:
  """Returns a point of a curve: the base model with one size changed.

  Args:
    name: of the size.
    value: of it.
    rounds: number of measurements.
    rate: floating-point operations a second of one large product.
  """
  program = measure.Subprocess(step_of, BASE | {name: value})
  seconds = measure.interleave({"step": program}, rounds)["step"]
  program.end()
  milliseconds = measure.quartiles([1e3 * s for s in seconds])
  return {
    "value": value,
    "milliseconds": milliseconds["median"],
    "low": milliseconds["low"],
    "high": milliseconds["high"],
    "products": 1e3 * program.facts["flops"] / rate,
  }


def main() -> None:
  """Measures and reports."""
  p = measure.parser(__doc__)
  p.add_argument("--plot", metavar="FILE", help="picture of the result")
  args = p.parse_args()
  large = measure.Subprocess(large_product)
  seconds = measure.interleave({"large": large}, 5)["large"]
  rate = large.facts["flops"] / measure.quartiles(seconds)["median"]
  curves: dict[str, list[dict[str, float]]] = {}
  for name, values in POINTS.items():
    curves[name] = []
    for value in values:
      point = measured(name, value, args.rounds or 3, rate)
      curves[name].append(point)
      print(f"{name} {value}: {point['milliseconds']:.1f} ms", flush=True)
  if args.plot:
    plot(curves, args.plot)
  measure.report(args, {"gigaflops_peak": rate / 1e9} | curves)


if __name__ == "__main__":
  main()
