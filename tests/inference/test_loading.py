"""Which models may be an ensemble."""

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import sides, tokenizers, vocabulary
from seq2seq_jax.inference import loading

pytestmark = pytest.mark.quick


def loaded(words="same", reverse=False, head="softmax"):
  words = tokenizers.train([words], kind="word", vocab_size=9)
  output = words if head == "pointer" else None
  vocabularies = vocabulary.Vocabularies(
    sides.SourceText(words, reverse=reverse, output=output),
    sides.TargetText(words, copies=head == "pointer"),
  )
  conf = config.Config(
    data=config.Data(
      source=config.Text(tokenizer="word"), target=config.Text(tokenizer="word")
    ),
    model=config.Model(
      attention=config.Attention(score="additive"),
      head=head,
    ),
  )
  return loading.Loaded(conf, vocabularies, None, None, 0)


OTHERS = {
  "vocabularies differ": {"words": "other"},
  "data.reverse_source": {"reverse": True},
  "copies words": {"head": "pointer"},
}


@pytest.mark.parametrize("said", OTHERS)
def test_members_read_and_write_alike(said, monkeypatch):
  members = iter([loaded(), loaded(), loaded(), loaded(**OTHERS[said])])
  monkeypatch.setattr(loading, "load", lambda *a: next(members))

  def every():
    return loading.load_all(["a", "b"], "best", None)

  assert len(every()) == 2
  with pytest.raises(types.UserError, match=f"^b: .*{said}"):
    every()
