"""One search at several batch sizes, orders and numbers of devices.

    python -m tests.helpers.same_bits WORKDIR [more]

Fails where any bit of any translation differs, of a run's texts, or of frames
that are searched with CTC and a language model; of frames, any bit of the
scores of given targets too. With `more` it is other models of frames, and more
devices. It is a program of its own to be compiled as users compile it: without
optimisation, neighbours do not meet in one vector.
"""

import pathlib
import sys

import jax
import numpy as np

from seq2seq_jax.inference import loading
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.runtime import parallel
from tests.helpers import drawn_speech

_CONVOLUTION = {
  "attention.score": "location_aware",
  "encoder.front_end": "convolution",
  "encoder.front_end_channels": 3,
}
_PYRAMID = {
  "attention.score": "location_aware",
  "encoder.cell": "gru",
  "encoder.layers": 2,
  "encoder.reductions": 1,
}
_CTC = {"ctc_weight": 0.3, "max_extra": 9, "beam_size": 3}
_LM = {"lm": "lm", "lm_weight": 0.3}
# Fields of the model, a search, and the number of devices.
_ALWAYS: tuple[tuple[dict, dict, int], ...] = ((_CONVOLUTION, _CTC | _LM, 2),)
_SLOW: tuple[tuple[dict, dict, int], ...] = (
  (_CONVOLUTION, _CTC | _LM, 8),
  (_PYRAMID, _CTC, 2),
  (_PYRAMID, _CTC | {"ctc_weight": 1.0}, 2),
  (_PYRAMID, _CTC | {"ctc_weight": 1.0, "beam_size": 1}, 2),
)


def _mapper(count: int) -> parallel.Mapper:
  """Of the first `count` devices."""
  mapper = parallel.Mapper("pmap", local=True)
  mapper.devices = mapper.devices[:count]
  mapper.count = mapper.local_count = count
  mesh = jax.sharding.Mesh(np.array(mapper.devices), ("data",))
  spec = jax.sharding.PartitionSpec()
  mapper.replicated = jax.sharding.NamedSharding(mesh, spec)
  return mapper


def main(workdir: pathlib.Path, which: str = "") -> None:
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_num_cpu_devices", 8)
  mappers = {count: _mapper(count) for count in (1, 2, 3, 8)}
  rng = np.random.default_rng(0)
  texts = [
    " ".join(map(str, rng.integers(5, size=n))) for n in rng.integers(1, 12, 70)
  ]
  gnmt = {"length_rule": "gnmt", "alpha": 0.6}
  models = [
    model_lib.Model(
      [loading.load(workdir, "best", mapper)], mapper, [str(workdir)]
    )
    for mapper in (mappers[1], mappers[3])
  ]
  for beam_size in () if which else (1, 3):
    _check(*models, texts, rng, gnmt | {"beam_size": beam_size})
  frames = drawn_speech.sources(len(texts), longest=24)
  words = [" ".join(rng.choice(drawn_speech.WORDS, n % 6)) for n in range(70)]
  for fields, decode, count in _SLOW if which else _ALWAYS:
    models = [
      drawn_speech.with_lm(mappers[n], model=fields) for n in (1, count)
    ]
    _check(*models, frames, rng, gnmt | decode)
    natural = models[1].score(frames, words)
    assert natural == models[0].score(frames, words)
    assert natural == models[1].score(frames[::-1], words[::-1])[::-1]
  print(f"the same bits for {len(texts)} sentences")


def _check(alone, many, sources, rng, decode) -> None:
  """Of a model on one device and on several."""

  def run(model, order: list[int], size: int):
    hypotheses = {}
    for first in range(0, len(order), size):
      part = order[first : first + size]
      answers = model.with_search(**decode).search(
        [sources[i] for i in part], n_best=decode["beam_size"]
      )
      hypotheses.update((part[n], h) for n, h in answers)
    return [hypotheses[i] for i in range(len(sources))]

  natural = list(range(len(sources)))
  first = run(many, natural, 64)
  shuffled = [int(i) for i in rng.permutation(len(sources))]
  by_length = sorted(natural, key=lambda i: len(sources[i]))
  for model, order, size in (
    (many, natural, 1),
    (many, shuffled, 7),
    (alone, natural, 64),
    (alone, by_length, 7),
  ):
    for a, b in zip(first, run(model, order, size), strict=True):
      jax.tree.map(np.testing.assert_array_equal, a, b)


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
