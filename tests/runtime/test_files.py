"""Files are replaced whole or not at all; outputs go where they were sent."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from seq2seq_jax import types
from seq2seq_jax.runtime import files

pytestmark = pytest.mark.quick


def write(path, text):
  with files.output(str(path)) as out:
    out.write(text)


def test_a_file_is_put_in_place_when_it_is_whole(tmp_path):
  path = tmp_path / "out"
  path.write_text("old")
  with pytest.raises(RuntimeError), files.output(path) as out:
    out.write("half")
    raise RuntimeError
  assert path.read_text() == "old"
  write(path, "ä\n")
  assert path.read_bytes() == "ä\n".encode()
  assert os.listdir(tmp_path) == ["out"]


def test_text_bytes_and_json_replace_a_file(tmp_path):
  path = tmp_path / "x.json"
  files.replace(path, "ä\n")
  assert path.read_bytes() == "ä\n".encode()
  files.replace(str(path), b"\x00", durable=True)
  assert path.read_bytes() == b"\x00"
  files.write_json(path, {"a": [1]})
  assert json.loads(path.read_text()) == {"a": [1]}
  assert os.listdir(tmp_path) == ["x.json"]


def test_a_value_that_json_cannot_hold_leaves_the_old_file(tmp_path):
  path = tmp_path / "x.json"
  files.write_json(path, 1)
  with pytest.raises(TypeError):
    files.write_json(path, {"a": object()})
  assert path.read_text() == "1\n"


def test_a_process_that_is_killed_leaves_the_old_file(tmp_path):
  path = tmp_path / "x"
  path.write_text("old")
  code = (
    "import os, signal, sys; from seq2seq_jax.runtime import files\n"
    "with files.replacing(sys.argv[1]) as part:\n"
    "  part.write_text('half')\n"
    "  os.kill(os.getpid(), signal.SIGKILL)\n"
  )
  done = subprocess.run([sys.executable, "-c", code, str(path)])
  assert done.returncode == -signal.SIGKILL
  assert path.read_text() == "old"


def test_writers_of_one_file_do_not_share_a_temporary_one(tmp_path):
  path = tmp_path / "x"
  with files.replacing(path) as first, files.replacing(path) as second:
    first.write_text("first")
    second.write_text("second")
  assert path.read_text() == "first"  # left last
  assert os.listdir(tmp_path) == ["x"]


def test_a_link_stays_one(tmp_path):
  (tmp_path / "link").symlink_to("real")
  write(tmp_path / "link", "new\n")
  assert (tmp_path / "link").is_symlink()
  assert (tmp_path / "real").read_text() == "new\n"


def test_a_pipe_is_written_to(tmp_path):
  path, got = tmp_path / "pipe", []
  os.mkfifo(path)
  reader = threading.Thread(target=lambda: got.append(path.read_text()))
  reader.start()
  write(path, "a\nb\n")
  reader.join(timeout=10)
  assert got == ["a\nb\n"] and path.is_fifo()


def test_a_device_stays_one():
  write("/dev/null", "x")
  assert not os.path.isfile("/dev/null")


def test_a_link_to_what_is_no_file_replaces_nothing(tmp_path):
  pipe, link = tmp_path / "pipe", tmp_path / "link"
  os.mkfifo(pipe)
  link.symlink_to("pipe")
  for write_whole in (
    lambda: files.replace(link, "x"),
    lambda: files.write_json(link, 1),
  ):
    with pytest.raises(types.UserError, match="link: is no regular file"):
      write_whole()
  assert pipe.is_fifo() and link.is_symlink()
  assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_a_name_in_gz_is_compressed(tmp_path):
  write(tmp_path / "x.gz", "ä\n")
  with gzip.open(tmp_path / "x.gz", "rt", encoding="utf-8") as f:
    assert f.read() == "ä\n"


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path):
  with pytest.raises(types.UserError, match=r"--json .*: is a folder"):
    files.check_writable("--json", str(tmp_path))
  with pytest.raises(types.UserError, match="its folder does not exist"):
    files.check_writable("--json", str(tmp_path / "no" / "x"))
  files.check_writable("--json", str(tmp_path / "x"))
  loop = tmp_path / "loop"
  loop.symlink_to("loop")
  for path in (loop, tmp_path / ("x" * 300)):
    with pytest.raises(types.UserError, match="cannot write: "):
      files.check_writable("--json", str(path))
  with pytest.raises(types.UserError, match="cannot write"):
    write(tmp_path, "x")


def test_permissions_stay_and_a_file_in_part_is_the_users_own(tmp_path):
  path, part = tmp_path / "x", tmp_path / "x.part"
  path.write_text("old")
  path.chmod(0o640)
  part.write_text("mine")
  files.replace(path, "new")
  write(path, "newer\n")
  assert path.stat().st_mode & 0o7777 == 0o640
  assert part.read_text() == "mine"
  assert sorted(os.listdir(tmp_path)) == ["x", "x.part"]


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "another name"])
def test_an_output_that_is_an_input_is_refused(tmp_path, way):
  given = tmp_path / "in"
  given.write_text("text")
  output = tmp_path / "out"
  if way == "itself":
    output = given
  elif way == "link":
    output.symlink_to("in")
  elif way == "hard link":
    output.hardlink_to(given)
  else:
    output = tmp_path / ".." / tmp_path.name / "in"
  with pytest.raises(
    types.UserError, match=r"--output .* same file as --input"
  ):
    files.check_outputs({"--output": output}, [("--input", given)])
  files.check_outputs({"--output": tmp_path / "new"}, [("--input", given)])


def test_two_outputs_of_one_name_are_refused(tmp_path):
  flags = {"--json": tmp_path / "new", "--output": tmp_path / "." / "new"}
  with pytest.raises(types.UserError, match=r"--output .* same file as --json"):
    files.check_outputs(flags)
  files.check_outputs({"--json": None, "--output": "-"})
  files.check_outputs(dict.fromkeys(flags, "/dev/null"))


def test_what_belongs_to_a_run_or_a_table_is_no_output(tmp_path):
  run = tmp_path / "table" / "cells" / "row" / "seed_0"
  (run / "checkpoints" / "3").mkdir(parents=True)
  (run / "config.json").write_text("{}")
  hard = tmp_path / "hard"
  hard.hardlink_to(run / "config.json")
  files.check_outputs({"--output": tmp_path / "table" / "x"})
  for path, owner in (
    (run / "config.json", "the run"),
    (run / "checkpoints" / "3" / "new", "the run"),
    (run / "outputs.txt", "the table"),
    (hard, "same file as a file of the run"),
  ):
    with pytest.raises(types.UserError, match=owner):
      files.check_outputs({"--output": path}, runs=[run])
  (tmp_path / "table" / "cells").rename(tmp_path / "runs")
  plain = tmp_path / "runs" / "row" / "seed_0" / "outputs.txt"
  files.check_outputs({"--output": plain})


def test_standard_output_led_to_an_input_is_refused(tmp_path):
  given = tmp_path / "in"
  given.write_text("text")
  code = (
    "import sys; from seq2seq_jax.runtime import files\n"
    "files.check_outputs({}, [('--input', sys.argv[1])])"
  )
  with given.open("a") as out:
    done = subprocess.run(
      [sys.executable, "-c", code, str(given)],
      stdout=out,
      stderr=subprocess.PIPE,
      text=True,
    )
  assert "standard output is the same file as --input" in done.stderr


def test_only_regular_files_are_replaced(tmp_path):
  files.check_regular(tmp_path / "none")
  (tmp_path / "device").symlink_to("/dev/null")
  for path in (tmp_path, tmp_path / "device"):
    with pytest.raises(types.UserError, match="is no regular file"):
      files.check_regular(path)
