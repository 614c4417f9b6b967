"""Which models may be an ensemble."""

import types as python_types

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import pipeline
from seq2seq_jax.inference import loading

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
  return loading.Loaded(conf, toks, None, None, 0)


OTHERS = {
  "other vocabularies": {"words": "other"},
  "data.reverse_source": {"reverse": True},
  "copies words": {"head": "pointer"},
}


@pytest.mark.parametrize("said", OTHERS)
def test_members_read_and_write_alike(said, monkeypatch):
  members = iter([loaded(), loaded(), loaded(), loaded(**OTHERS[said])])
  monkeypatch.setattr(loading, "load", lambda *a: next(members))
  every = lambda: loading.load_all(["a", "b"], "best", None)
  assert len(every()) == 2
  with pytest.raises(types.UserError, match=f"^b: .*{said}"):
    every()
