"""Which models may be an ensemble."""

import types as python_types

import pytest

from seq2seq_jax import config, decode_load, types
from seq2seq_jax.data import pipeline

pytestmark = pytest.mark.quick


def loaded(words="same", reverse=False, head="softmax"):
  vocabulary = python_types.SimpleNamespace(checksum=lambda: words)
  toks = pipeline.Tokenizers(vocabulary, vocabulary, reverse)
  conf = config.Config(
    data=config.Data(
      source=config.Text(tokenizer="word"), target=config.Text(tokenizer="word")
    ),
    model=config.Model(head=head, attention="additive"),
  )
  return decode_load.Loaded(conf, toks, None, None, 0)


OTHERS = {
  "other vocabularies": {"words": "other"},
  "data.reverse_source": {"reverse": True},
  "copies words": {"head": "pointer"},
}


@pytest.mark.parametrize("said", OTHERS)
def test_members_read_and_write_alike(said, monkeypatch):
  members = iter([loaded(), loaded(), loaded(), loaded(**OTHERS[said])])
  monkeypatch.setattr(decode_load, "load", lambda *a: next(members))
  every = lambda: decode_load.load_all(["a", "b"], "best", None, print)
  assert len(every()) == 2
  with pytest.raises(types.UserError, match=f"^b: .*{said}"):
    every()
