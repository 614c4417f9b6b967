"""Benchmarks compare like with like: the peers compute what we compute."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from benchmarks import measure, ours, products
from seq2seq_jax import config, types
from seq2seq_jax.inference import translator as translation
from seq2seq_jax.runtime import parallel

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SMALL = {
  "embed_dim": 8,
  "encoder.dim": 6,
  "decoder.dim": 12,
  "readout.dim": 10,
}


def counted(start: int):
  calls = [start]

  def program():
    calls.append(calls[-1] + 1)
    assert len(calls) < 100

  return program, {"start": start}


def test_programs_run_apart_and_in_turn():
  programs = {
    "a": measure.Subprocess(counted, 3),
    "b": measure.Subprocess(counted, 5),
  }
  assert programs["b"].facts == {"start": 5}
  seconds = measure.interleave(programs, 4, calls=2)
  assert {name: len(s) for name, s in seconds.items()} == {"a": 4, "b": 4}
  assert min(seconds["a"]) > 0
  for program in programs.values():
    program.end()


def test_ratios_are_of_rounds():
  seconds = {"a": [1.0, 4.0, 9.0], "b": [2.0, 4.0, 3.0]}
  assert measure.ratio(seconds, "a", "b")["median"] == 1.0
  assert measure.quartiles([5.0]) == {"median": 5.0, "low": 5.0, "high": 5.0}


def test_products_are_those_of_the_step():
  conf = ours.medium(**SMALL)
  call, flops = products.attentional_step(conf, 20, 4, 3, 5)
  call()

  def each(rows, inner, columns):
    return 6 * rows * inner * columns

  want = 2 * each(12, 8, 24) + 2 * 3 * each(4, 6, 24)  # encoder
  want += each(12, 12, 12) + each(20, 8, 48) + each(20, 10, 20)
  want += 5 * (each(4, 22, 48) + each(4, 24, 10))
  want += 2 * 6 * 5 * 4 * 3 * 12  # attention
  assert flops == want


def test_peer_in_pytorch_has_our_loss():
  pytest.importorskip("torch")
  from benchmarks import vs_pytorch

  conf, batch = ours.medium(**SMALL), ours.batch(4, 5, 6, 30)
  mine = ours.Trainer(conf, 30, batch)
  params = jax.device_get(mine.params)
  peer = vs_pytorch.Trainer(
    vs_pytorch.from_ours(params, conf, 0.2), batch, 0.1, 1.0
  )
  assert math.isclose(mine.loss(), peer.loss(), rel_tol=1e-5)
  before = peer.loss()
  for _ in range(20):
    peer.step()
  assert peer.loss() < before


@pytest.mark.parametrize("tie,patience", [("none", 0.0), ("all", 1.0)])
def test_peer_in_pytorch_finds_our_translations(tie, patience):
  torch = pytest.importorskip("torch")
  from benchmarks import vs_pytorch, vs_pytorch_search

  changes = SMALL | {"tie": tie, "decoder.bridge": "dense"}
  if tie == "all":
    changes["readout.dim"] = 8
  conf = ours.medium(**changes)
  conf = dataclasses.replace(
    conf,
    decode=config.Decode(
      length_rule="average", alpha=1.0, batch_rows=8, pool_batches=2
    ),
  )
  rng = np.random.default_rng(0)
  ids = [
    np.append(rng.integers(4, 30, n), types.EOS).astype(np.int32)
    for n in rng.integers(1, 7, 20)
  ]
  mine = ours.Trainer(conf, 30, ours.batch(2, 3, 3, 30))
  params = jax.tree.map(lambda x: 4.0 * x, jax.device_get(mine.params))
  mapper = parallel.Mapper("pmap", local=True)
  translator = translation.Translator([mine.model], mapper, ours.IdSource())
  found = dict(
    translator.search(
      (mapper.replicate(params),),
      [types.EncodedSide(i) for i in ids],
      dataclasses.replace(conf.decode, patience=patience),
    )
  )
  peer = vs_pytorch.from_ours(params, conf, 0.0).eval()
  order = sorted(range(20), key=lambda i: -len(ids[i]))
  lengths = torch.tensor([len(ids[i]) for i in order])
  src = torch.nn.utils.rnn.pad_sequence(
    [torch.from_numpy(ids[i]).long() for i in order], batch_first=True
  )
  theirs = vs_pytorch_search.search(
    peer, src, lengths, 2 * lengths + 10, 5, 1.0, patience
  )
  for i, tokens in zip(order, theirs):
    length = int(found[i].length[0]) - bool(found[i].finished[0])
    assert found[i].tokens[0, :length].tolist() == tokens
