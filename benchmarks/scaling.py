"""Cost of a train step against length, batch, width, depth and vocabulary.

    python -m benchmarks.scaling [--json FILE] [--plot FILE.png]

One field of the 11.6 M parameter model is changed at a time; milliseconds a
step, and beside them the step's products alone at the machine's own rate.
"""

import jax
import jax.numpy as jnp

from benchmarks import measure, ours

BASE = {"length": 16, "batch": 64, "width": 512, "depth": 1, "vocabulary": 7000}
POINTS = {
  "length": (8, 16, 32, 64),
  "batch": (16, 32, 64, 128),
  "width": (128, 256, 512, 1024),
  "depth": (1, 2, 3),
  "vocabulary": (1000, 4000, 7000, 16000, 32000),
}


def step_of(point: dict):
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
  table = 2 * size * conf.model.embed_dim
  flops = 6 * (trainer.size() - table) * point["batch"] * point["length"]
  return trainer.step, {"flops": flops}


def large_product():
  measure.setup()
  x = jnp.ones((2048, 2048), jnp.float32)
  product = jax.jit(lambda x: x @ x)
  return lambda: product(x).block_until_ready(), {}


def plot(found: dict, path: str) -> None:
  """A panel a field: measured, and the products' own time."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot

  figure, panels = pyplot.subplots(
    1, len(found), figsize=(2.6 * len(found), 3), sharey=True
  )
  for panel, (name, points) in zip(panels, found.items()):
    xs = [p["value"] for p in points]
    panel.plot(xs, [p["milliseconds"] for p in points], "o-", label="step")
    panel.plot(xs, [p["products"] for p in points], "--", label="its products")
    panel.set(title=name, xscale="log", yscale="log", xticks=xs)
    panel.set_xticklabels([f"{x // 1000}k" if x >= 4000 else x for x in xs])
    panel.minorticks_off()
    panel.grid(alpha=0.3)
  panels[0].yaxis.set_major_formatter("{x:g}")
  panels[0].set_ylabel("milliseconds a step")
  panels[0].legend(loc="lower right")
  figure.tight_layout()
  figure.savefig(path, dpi=120)


def main() -> None:
  p = measure.parser(__doc__)
  p.add_argument("--plot", metavar="FILE", help="picture of the result")
  args = p.parse_args()
  large = measure.Subprocess(large_product)
  seconds = measure.interleave({"large": large}, 5)["large"]
  rate = 2 * 2048**3 / measure.quartiles(seconds)["median"]
  found = {}
  for name, values in POINTS.items():
    found[name] = []
    for value in values:
      program = measure.Subprocess(step_of, BASE | {name: value})
      times = measure.interleave({"step": program}, args.rounds or 3)["step"]
      program.end()
      spread = measure.quartiles(times)
      found[name].append(
        {
          "value": value,
          "milliseconds": 1e3 * spread["median"],
          "low": 1e3 * spread["low"],
          "high": 1e3 * spread["high"],
          "products": 1e3 * program.facts["flops"] / rate,
        }
      )
      print(f"{name} {value}: {1e3 * spread['median']:.1f} ms", flush=True)
  if args.plot:
    plot(found, args.plot)
  measure.report(args, {"gigaflops_peak": rate / 1e9} | found)


if __name__ == "__main__":
  main()
