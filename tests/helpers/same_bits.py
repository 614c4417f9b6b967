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
from seq2seq_jax.inference import translator as translation
from seq2seq_jax.runtime import parallel


def _translator(workdir, count):
  """On the first `count` devices."""
  mapper = parallel.Mapper("pmap", local=True)
  if count == 1:
    mapper.devices, mapper.count, mapper.local_count = mapper.devices[:1], 1, 1
    mesh = jax.sharding.Mesh(np.array(mapper.devices), ("data",))
    spec = jax.sharding.PartitionSpec()
    mapper.replicated = jax.sharding.NamedSharding(mesh, spec)
  loaded = loading.load(workdir, "best", mapper)
  return loaded, translation.Translator(
    [loaded.model], loaded.config.decode, mapper, loaded.vocabularies.source
  )


def main(workdir: pathlib.Path):
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_num_cpu_devices", 3)
  translators = {count: _translator(workdir, count) for count in (1, 3)}
  rng = np.random.default_rng(0)
  texts = [
    " ".join(map(str, rng.integers(5, size=n))) for n in rng.integers(1, 12, 70)
  ]
  side = translators[3][0].vocabularies.source
  ids = [side.encode(text) for text in texts]
  for beam_size in (1, 3):
    options = translation.Options(beam_size, beam_size, "gnmt", 0.6, False)
    _check(translators, ids, options, rng)
  print(f"the same bits for {len(ids)} sentences")


def _check(translators, ids, options, rng):
  def run(count, order, size):
    loaded, translator = translators[count]
    out = {}
    for first in range(0, len(order), size):
      part = order[first : first + size]
      found = translator.search(
        (loaded.params,), [ids[i] for i in part], options
      )
      out.update(zip(part, found))
    return [out[i] for i in range(len(ids))]

  natural = list(range(len(ids)))
  first = run(3, natural, 64)
  shuffled = [int(i) for i in rng.permutation(len(ids))]
  by_length = sorted(natural, key=lambda i: len(ids[i].values))
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
