"""Data blocks that several experiments share.

Each returns a `Data` whose other fields are given as keywords:
`multi30k("de", "en", source=Text("bpe", vocab_size=8000), joint=True)`.
"""

from typing import Any

from seq2seq_jax.config.data import Data


def multi30k(source_language: str, target_language: str, **fields: Any) -> Data:
  """Multi30k's official text, lower-cased, normalised and tokenised.

  Trains on `train`, validates on `val`, tests on `test_2016_flickr`. The files
  lie in `multi30k/lc.norm.tok` below `data.root`.

  Args:
    source_language: `de`, `en`, `fr` or `cs`.
    target_language: likewise.
    fields: other fields of `Data`.
  """

  def files(split: str) -> tuple[str, str]:
    stem = f"multi30k/lc.norm.tok/{split}.lc.norm.tok"
    return f"{stem}.{source_language}.gz", f"{stem}.{target_language}.gz"

  return Data(
    task="parallel",
    train=files("train"),
    valid=files("val"),
    test=files("test_2016_flickr"),
    **fields,
  )


def tfds(
  name: str,
  source_field: str,
  target_field: str,
  *,
  train: str = "train",
  valid: str = "validation",
  test: str = "test",
  **fields: Any,
) -> Data:
  """A set of TensorFlow Datasets that `data.prepare` has written.

  Args:
    name: of the set: `wmt14_translate/de-en`.
    source_field: key of an example's source.
    target_field: key of its target.
    train: a split, or a part of one: `train[:98%]`.
    valid: likewise.
    test: likewise.
    fields: other fields of `Data`.
  """
  return Data(
    task="tfds",
    name=name,
    train=(train,),
    valid=(valid,),
    test=(test,),
    source_field=source_field,
    target_field=target_field,
    **fields,
  )


def librispeech(*subsets: str, **fields: Any) -> Data:
  """LibriSpeech, from the manifests that `data.manifest librispeech` writes.

  Validates on both dev sets, tests on test-clean. Utterances above 17.1 s, one
  in a thousand, are left out of training, as lingvo does.

  Args:
    subsets: of training, such as `train-clean-100`; none: all three, 960 hours.
    fields: other fields of `Data`.
  """
  names = subsets or ("train-clean-100", "train-clean-360", "train-other-500")
  defaults: dict[str, Any] = {
    "task": "audio",
    "train": tuple(f"{name}.jsonl" for name in names),
    "valid": ("dev-clean.jsonl", "dev-other.jsonl"),
    "test": ("test-clean.jsonl",),
    "max_source_length": 1710,
    "batch_unit": "tokens",
  }
  return Data(**defaults | fields)
