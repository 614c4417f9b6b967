"""One search at several batch sizes, orders and numbers of devices.

    python -m tests.helpers.same_bits WORKDIR

Fails where any bit of any translation differs. It is a program of its own to be
compiled as users compile it: without optimisation, neighbours do not meet in
one vector.
"""

import pathlib
import sys

import jax
import numpy as np

from seq2seq_jax.inference import loading
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.runtime import parallel


def _model(workdir: pathlib.Path, count: int) -> model_lib.Model:
  """On the first `count` devices."""
  mapper = parallel.Mapper("pmap", local=True)
  if count == 1:
    mapper.devices, mapper.count = mapper.devices[:1], 1
    mapper.local_count = 1
    mesh = jax.sharding.Mesh(np.array(mapper.devices), ("data",))
    spec = jax.sharding.PartitionSpec()
    mapper.replicated = jax.sharding.NamedSharding(mesh, spec)
  loaded = loading.load(workdir, "best", mapper)
  return model_lib.Model([loaded], mapper, [str(workdir)])


def main(workdir: pathlib.Path) -> None:
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_num_cpu_devices", 3)
  models = {count: _model(workdir, count) for count in (1, 3)}
  rng = np.random.default_rng(0)
  texts = [
    " ".join(map(str, rng.integers(5, size=n))) for n in rng.integers(1, 12, 70)
  ]
  for beam_size in (1, 3):
    _check(models, texts, beam_size, rng)
  print(f"the same bits for {len(texts)} sentences")


def _check(models, texts, beam_size: int, rng) -> None:
  def run(count: int, order: list[int], size: int):
    model = models[count].with_search(beam_size, length_rule="gnmt", alpha=0.6)
    hypotheses = {}
    for first in range(0, len(order), size):
      part = order[first : first + size]
      answers = model.search([texts[i] for i in part], n_best=beam_size)
      hypotheses.update((part[n], h) for n, h in answers)
    return [hypotheses[i] for i in range(len(texts))]

  natural = list(range(len(texts)))
  first = run(3, natural, 64)
  shuffled = [int(i) for i in rng.permutation(len(texts))]
  by_length = sorted(natural, key=lambda i: len(texts[i].split()))
  for count, order, size in (
    (3, natural, 1),
    (3, shuffled, 7),
    (1, natural, 64),
    (1, by_length, 7),
  ):
    for a, b in zip(first, run(count, order, size), strict=True):
      assert np.array_equal(a.tokens, b.tokens)
      assert np.array_equal(a.score, b.score)
      assert np.array_equal(a.token_log_probs, b.token_log_probs)


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]))
