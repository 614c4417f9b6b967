"""Which folders are taken for a run, and what a refused one leaves."""

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.training import (
  compilation,
  loop,
  start,
  transitions,
  workdir,
)
from tests.helpers import tiny_runs

SHORT = {"steps": 4, "validate_every": 2, "log_every": 1, "patience": 0}


def content(folder):
  """Every file below a folder, and its bytes."""
  return {
    str(p.relative_to(folder)): p.read_bytes()
    for p in sorted(folder.rglob("*"))
    if p.is_file()
  }


def foreign_file(folder):
  (folder / "notes.txt").write_text("mine")
  return folder, r"holds notes\.txt and no run"


def hidden_file(folder):
  (folder / ".bashrc").write_text("mine")
  return folder, r"holds \.bashrc and no run"


def table(folder):
  (folder / "cells" / "a" / "seed_0").mkdir(parents=True)
  (folder / "board.html").write_text("")
  return folder, "is the folder of a table and no run"


def tokenizers(folder):
  (folder / "tokenizers").mkdir()
  (folder / "tokenizers" / "source.json").write_text("mine")
  return folder, "holds tokenizers and no run"


def metrics(folder):
  (folder / "metrics.jsonl").write_text("{}")
  return folder, r"holds metrics\.jsonl and no run"


def checkpoints(folder):
  (folder / "checkpoints" / "7").mkdir(parents=True)
  return folder, r"holds checkpoints but no config\.json"


def file(folder):
  (folder / "file").write_text("mine")
  return folder / "file", "is a file or lies below one"


def below_a_file(folder):
  (folder / "file").write_text("mine")
  return folder / "file" / "run", "is a file or lies below one"


def dangling(folder):
  (folder / "link").symlink_to("nowhere")
  return folder / "link", "is a link to nowhere, which is not there"


def looping(folder):
  (folder / "link").symlink_to("link")
  return folder / "link", "Too many levels of symbolic links"


def too_long(folder):
  return folder / ("x" * 300), "File name too long"


def nul(folder):
  return folder / "a\0b", "cannot be used as a workdir: .*embedded null"


def within_a_run(folder):
  for name in ("config.json", "run.json"):
    (folder / name).write_text("{}")
  return folder / "checkpoints" / "mine", "lies in .*, which holds a run"


@pytest.mark.quick
@pytest.mark.parametrize(
  "make",
  [
    foreign_file,
    hidden_file,
    table,
    tokenizers,
    metrics,
    checkpoints,
    file,
    below_a_file,
    dangling,
    looping,
    too_long,
    nul,
    within_a_run,
  ],
)
def test_a_folder_that_is_no_place_for_a_run(make, tmp_path):
  folder, told = make(tmp_path)
  before = content(tmp_path)
  for restart in (False, True):
    with pytest.raises(types.UserError, match=told):
      loop.fit(config.Config(), folder, restart=restart)
  assert content(tmp_path) == before


@pytest.mark.quick
def test_folders_that_are_taken_for_empty(tmp_path):
  workdir.check(tmp_path / "new" / "run")
  for name in ("lost+found", "checkpoints"):
    (tmp_path / name).mkdir()
  (tmp_path / workdir.LOCK).write_text("")
  workdir.check(tmp_path)
  (tmp_path / "result.json").write_text("a table's")
  workdir.check(tmp_path, among_others=True)
  link = tmp_path.with_name("link")
  link.symlink_to(tmp_path / "checkpoints")
  workdir.check(link)
  link.unlink()


@pytest.mark.quick
def test_folders_that_were_made_and_stay_empty_are_removed(tmp_path):
  folder = tmp_path / "runs" / "new"
  with pytest.raises(KeyboardInterrupt), workdir.holding(folder):
    assert (folder / workdir.LOCK).exists()
    raise KeyboardInterrupt
  assert not list(tmp_path.iterdir())
  folder.mkdir(parents=True)
  with workdir.holding(folder):
    pass
  assert folder.is_dir() and not list(folder.iterdir())


def no_memory(monkeypatch):
  def refuse(*_):
    raise types.UserError("the largest batch does not fit")

  monkeypatch.setattr(compilation.memory_check, "report", refuse)
  return tiny_runs.small(SHORT), types.UserError


def ctrl_c(monkeypatch):
  def interrupt(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(start, "initial_params", interrupt)
  return tiny_runs.small(SHORT), KeyboardInterrupt


def device_memory(monkeypatch):
  def refuse(*_):
    raise RuntimeError("RESOURCE_EXHAUSTED")

  monkeypatch.setattr(loop.throughput.Meter, "dispatched", lambda *_: refuse())
  return tiny_runs.small(SHORT), RuntimeError


@pytest.mark.parametrize("spoil", [no_memory, ctrl_c, device_memory])
def test_a_refused_first_run_leaves_nothing(spoil, tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    conf, error = spoil(patch)
    with pytest.raises(error):
      loop.fit(conf, tmp_path / "runs" / "new")
  assert not list(tmp_path.iterdir())


def test_a_run_is_begun_anew_only_where_it_is_asked_for(tmp_path, monkeypatch):
  conf = tiny_runs.small(SHORT)
  folder = tmp_path / "run"
  loop.fit(conf, folder)
  (folder / "tokenizers" / "mine.txt").write_text("mine")
  (folder / "tensorboard" / "mine.txt").write_text("mine")
  kept = content(folder)
  (folder / "checkpoints").rename(tmp_path / "checkpoints")
  lost = content(folder)
  with pytest.raises(types.UserError, match="no checkpoint any more"):
    loop.fit(conf, folder)
  with monkeypatch.context() as patch:
    refused, _ = no_memory(patch)
    with pytest.raises(types.UserError, match="does not fit"):
      loop.fit(refused, folder, restart=True)
  assert content(folder) == lost
  (tmp_path / "checkpoints").rename(folder / "checkpoints")
  other = tiny_runs.small(SHORT | {"seed": 7})
  run = loop.fit(other, folder, restart=True)
  assert run.first_step == 0 and run.complete
  assert content(folder / "before-restart-1") == kept
  assert loop.fit(other, folder).complete  # its own run, as any other
  assert sorted(p.name for p in (folder / "tokenizers").iterdir()) == [
    "source.json",
    "target.json",
  ]


def test_a_workdir_that_vanishes_is_one_line(tmp_path, monkeypatch):
  folder = tmp_path / "run"
  save = transitions.save

  def vanish(run, step, writer, **others):
    if step == 4:
      folder.rename(tmp_path / "elsewhere")
    save(run, step, writer, **others)

  monkeypatch.setattr(transitions, "save", vanish)
  with pytest.raises(types.UserError, match=f"{folder}: the workdir is gone"):
    loop.fit(tiny_runs.small(SHORT), folder)
