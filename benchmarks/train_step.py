"""A training step of the 11.6 M parameter model, beside PyTorch's.

    python -m benchmarks.train_step [--json FILE]

B 64, S = T = 16, vocabulary 7,000, dropout, label smoothing, clipping, Adam.
`ratio_to_pytorch` is our time over the peer's, round by round;
`products_share` is the time of the step's matrix products alone, in the same
shapes and loops, over the step's; `fraction_of_peak` is the step's rate of
floating-point operations over that of one large product.
"""

import jax
import torch

from benchmarks import measure, ours, products, vs_pytorch

ROWS, LENGTH, SIZE = 64, 16, 7000


def our_step(source: int, target: int) -> measure.Program:
  """Returns our step, with its loss and number of parameters."""
  measure.setup()
  batch = ours.batch(ROWS, source, target, SIZE)
  trainer = ours.Trainer(ours.medium(), SIZE, batch)
  return trainer.step, {"loss": trainer.loss(), "parameters": trainer.size()}


def peer_step(source: int, target: int) -> measure.Program:
  """Returns PyTorch's step from the same parameters, with its loss."""
  torch.manual_seed(0)
  conf = ours.medium()
  batch = ours.batch(ROWS, source, target, SIZE)
  params = jax.device_get(ours.Trainer(conf, SIZE, batch).params)
  model = vs_pytorch.from_ours(params, conf, conf.model.dropout.rnn)
  peer = vs_pytorch.Trainer(
    model, batch, conf.optim.label_smoothing, conf.optim.clip_norm
  )
  return peer.step, {"loss": peer.loss()}


def products_alone(source: int, target: int) -> measure.Program:
  """Returns the products of a step, with their floating-point operations."""
  measure.setup()
  program, flops = products.attentional_step(
    ours.medium(), SIZE, ROWS, source, target
  )
  return program, {"flops": flops}


def large_product() -> measure.Program:
  """Returns one large product, with its floating-point operations."""
  measure.setup()
  program, flops = products.large_product()
  return program, {"flops": flops}


def main() -> None:
  """Measures and reports."""
  p = measure.parser(__doc__)
  p.add_argument("--source", type=int, default=LENGTH)
  p.add_argument("--target", type=int, default=LENGTH)
  args = p.parse_args()
  lengths = args.source, args.target
  programs = {
    "ours": measure.Subprocess(our_step, *lengths),
    "pytorch": measure.Subprocess(peer_step, *lengths),
    "products": measure.Subprocess(products_alone, *lengths),
    "large": measure.Subprocess(large_product),
  }
  facts = {name: program.facts for name, program in programs.items()}
  losses = facts["ours"]["loss"], facts["pytorch"]["loss"]
  assert abs(losses[0] - losses[1]) < 1e-4 * losses[1], losses
  seconds = measure.interleave(programs, args.rounds or 12)
  medians = {n: measure.quartiles(s)["median"] for n, s in seconds.items()}
  peak = facts["large"]["flops"] / medians["large"]
  flops = facts["products"]["flops"]
  measure.report(
    args,
    {
      "parameters": facts["ours"]["parameters"],
      "loss_ours": losses[0],
      "loss_pytorch": losses[1],
      "seconds_ours": measure.quartiles(seconds["ours"]),
      "seconds_pytorch": measure.quartiles(seconds["pytorch"]),
      "seconds_products": measure.quartiles(seconds["products"]),
      "ratio_to_pytorch": measure.ratio(seconds, "ours", "pytorch"),
      "products_share": measure.ratio(seconds, "products", "ours"),
      "gigaflops_a_step": flops / 1e9,
      "gigaflops_peak": peak / 1e9,
      "fraction_of_peak": flops / medians["ours"] / peak,
    },
  )


if __name__ == "__main__":
  main()
