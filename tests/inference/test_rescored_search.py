"""Rescoring an n-best list against a search with the other weights."""

import numpy as np

from seq2seq_jax.inference import nbest, rescoring
from seq2seq_jax.runtime import parallel
from tests.helpers import drawn_speech

WIDE = 400  # hypotheses: all 341 outputs of at most four tokens are kept


def searched(model, sources, path, **decode):
  """The outputs of a search, best first, written as `decode` writes them."""
  model = model.with_search(WIDE, forbid_unknown=True, lm="lm", **decode)
  found = dict(model.search(sources, n_best=WIDE))
  writer = model.text_translator()
  lines = [writer.json_line(sources[i], found[i]) for i in range(len(sources))]
  path.write_text("".join(lines))
  return nbest.read(path)


def test_another_search_finds_what_rescoring_chooses(tmp_path):
  """With a beam for all outputs there are, the whole ranking of each."""
  mapper = parallel.Mapper("pmap", local=True)
  model = drawn_speech.with_lm(mapper)
  sources = drawn_speech.sources(5, longest=6)
  settings = [
    {"ctc_weight": 0.4, "lm_weight": 0.6, "length_rule": "gnmt", "alpha": 0.6},
    {"ctc_weight": 0.8, "lm_weight": 0.25}
    | {"length_rule": "word_reward", "alpha": 0.5},
  ]
  made = [
    searched(model, sources, tmp_path / "n.jsonl", **decode)
    for decode in settings
  ]
  for lists, decode in zip(made, settings):
    assert rescoring.search_of(lists)._asdict() == decode
  for lists, other in zip(made, reversed(made)):
    score = rescoring.search_of(other).score(lists)
    for i, places in enumerate(np.argsort(-score, axis=1)):
      ranked = [lists.texts[i][n] for n in places[:20]]
      assert ranked == other.texts[i][:20]
  assert [x[0] for x in made[0].texts] != [x[0] for x in made[1].texts]
