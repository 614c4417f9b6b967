"""Notes on how scores came about."""

import dataclasses

import pytest

from seq2seq_jax.ablation import notes
from tests.helpers import tables

pytestmark = pytest.mark.quick


def _configs(*chosen_by):
  return {
    row.name: {"train": {"metric": metric}}
    for row, metric in zip(tables.ROWS, chosen_by)
  }


def test_checkpoints_that_another_metric_chose():
  ablation = tables.ablation()  # of exact match
  [note] = notes.of_checkpoints(ablation, _configs("bleu", "bleu"))
  assert note.startswith("Checkpoints were chosen by BLEU on the validation")
  assert "scores are exact match" in note
  [note] = notes.of_checkpoints(ablation, _configs("exact_match", "loss"))
  assert note.startswith(f"Checkpoints of {tables.BETTER} were chosen by loss")
  assert not notes.of_checkpoints(ablation, _configs("exact_match"))


def test_the_last_checkpoint_was_not_chosen():
  ablation = tables.ablation(checkpoint="last")
  assert not notes.of_checkpoints(ablation, _configs("bleu"))


def test_loss_and_perplexity_choose_alike():
  ablation = dataclasses.replace(tables.ablation(), metric="perplexity")
  assert not notes.of_checkpoints(ablation, _configs("loss", "perplexity"))


def test_why_differences_are_not_tested():
  few = "not tested: too few test sentences, 3 where 5 are needed"
  one = "not tested: a row has one seed"
  assert notes.of_tests({"a": "", "b": few, "c": one, "d": few}) == (
    "Not tested (too few test sentences, 3 where 5 are needed): b, d.",
    "Not tested (a row has one seed): c.",
  )


def test_it_stands_under_the_table(tmp_path):
  from seq2seq_jax.ablation.report import html, text_tables

  data = {"task": "parallel", "name": "", "test": ["x"]}
  text = {"source": {"tokenizer": "word"}, "target": {"tokenizer": "word"}}
  configs = {
    name: conf | {"data": data | text}
    for name, conf in _configs("bleu", "bleu", "bleu", "bleu").items()
  }
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 48, 10),
    *tables.seeds(tmp_path, tables.BETTER, 50, 35),
  ]
  table = tables.built(
    tables.ablation(rows=tables.ROWS[:2], orderings=()), cells, configs=configs
  )
  for page in (
    text_tables.markdown(table),
    text_tables.latex(table),
    html.html(table),
  ):
    assert "were chosen by BLEU on the validation set" in " ".join(page.split())
