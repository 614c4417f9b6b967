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
  with pytest.raises(types.UserError, match="cannot write"):
    write(tmp_path, "x")
