"""Tables from end to end, on a model of a few thousand parameters."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from seq2seq_jax.ablation import run, schema
from seq2seq_jax.runtime import locks

ROOT = pathlib.Path(__file__).parents[2]
ENV = os.environ | {"JAX_PLATFORMS": "cpu"}


ABLATION = """
import sys
sys.path.insert(0, {folder!r})
from seq2seq_jax.ablation import orderings, suite
from tests.helpers import tiny_table

def get_ablation():
  return tiny_table.ablation(
    rows=(
      suite.Row("attention"),
      suite.Row("greedy", "--decode.beam_size 1"),
    ),
    reference="attention",
    orderings=(orderings.alike("attention", "greedy", 30),),
  )
"""


def _suite(folder):
  file = folder / "table.py"
  file.write_text(ABLATION.format(folder=str(ROOT)))
  return file


def _start(folder):
  file = _suite(folder.parent)
  return subprocess.Popen(
    [
      *(sys.executable, "-m", "seq2seq_jax.ablate", str(file)),
      *("--workdir", str(folder), "--seeds", "1", "--jobs", "2"),
      *("--together", "no"),
    ],
    env=ENV,
    start_new_session=True,
  )


def _kill_when(folder, pattern):
  """Starts, and kills everything once a file of this name is there."""
  main = _start(folder)
  while main.poll() is None and not list(folder.glob(pattern)):
    time.sleep(0.05)
  main.kill()
  main.wait()
  for path in (folder / "locks").glob("*"):
    if holder := locks.holder(path):
      with contextlib.suppress(ProcessLookupError):
        os.kill(holder.process, signal.SIGKILL)


def _figures(folder):
  table = json.loads((folder / "table.json").read_text())
  for row in table["rows"]:
    for name in ("minutes", "tokens_per_second"):
      row.pop(name)
    for cell in row["cells"]:
      cell.pop("seconds")
  for name in ("run",):
    table.pop(name)
  return table


def _call(folder):
  """The same by the public function, in another thread as in a notebook."""
  arguments = {"seeds": 1, "jobs": 2, "together": False}
  suite = _suite(folder.parent)
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    call = pool.submit(run.run_ablation, suite, folder, **arguments)
    return call.result()


def test_a_table_that_was_killed_is_the_same_table(
  tmp_path, monkeypatch, capfd
):
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  assert _call(whole).counts.done == 2
  assert capfd.readouterr() == ("", "")
  _kill_when(killed, "cells/*/seed_*/metrics.jsonl")
  _kill_when(killed, "cells/*/seed_*/result.json")
  figures = killed / "figures"
  figures.mkdir(exist_ok=True)
  for name in ("attention_99.png", "mine.png"):
    (figures / name).touch()
  assert _start(killed).wait() == 0
  # What an earlier, unfinished table had drawn; nothing else is taken away.
  assert not (figures / "attention_99.png").exists()
  assert (figures / "mine.png").exists()
  assert _figures(killed) == _figures(whole)
  text = (killed / "table.json").read_text()
  assert schema.to_json(schema.from_json(text)) == text
  table = json.loads(text)
  assert table["state"] == "complete" and table["counts"]["done"] == 2
  assert [r["name"] for r in table["rows"]] == ["attention", "greedy"]
  keys = {"name", "mean", "sd", "n", "published", "tag", "p"}
  assert keys <= set(table["rows"][1])
  [ordering] = table["orderings"]
  assert {"claim", "verdict", "estimate", "interval"} <= set(ordering)
  for name in ("table.md", "table.tex", "table.csv", "report.html"):
    assert (killed / name).stat().st_size > 200, name
