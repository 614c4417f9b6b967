"""Data blocks that several experiments share."""

import pytest

from seq2seq_jax import config
from seq2seq_jax.config import presets

pytestmark = pytest.mark.quick


def test_multi30k_names_the_files_of_both_languages():
  data = presets.multi30k("en", "de", batch_size=128)
  stem = "multi30k/lc.norm.tok/val.lc.norm.tok"
  assert data.valid == (f"{stem}.en.gz", f"{stem}.de.gz")
  assert (data.task, data.batch_size) == ("parallel", 128)


def test_tfds_takes_parts_of_splits_and_other_fields():
  text = config.Text(tokenizer="bpe", vocab_size=99)
  data = presets.tfds("opus/x", "en", "de", test="train[99%:]", source=text)
  assert data.train == ("train",) and data.test == ("train[99%:]",)
  assert (data.source_field, data.target_field) == ("en", "de")
  assert data.source.vocab_size == 99
