"""What the command lines share: where their results go."""

import gzip
import os
import threading

import pytest

from seq2seq_jax import cli, types

pytestmark = pytest.mark.quick


def write(path, text):
  with cli.output(str(path)) as out:
    out.write(text)


def test_a_file_is_put_in_place_when_it_is_whole(tmp_path):
  path = tmp_path / "out"
  path.write_text("old")
  with pytest.raises(RuntimeError), cli.output(str(path)) as out:
    out.write("half")
    raise RuntimeError
  assert path.read_text() == "old"
  write(path, "ä\n")
  assert path.read_bytes() == "ä\n".encode()
  assert os.listdir(tmp_path) == ["out"]


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


def test_where_nothing_can_be_written_is_told_before_the_work(tmp_path):
  with pytest.raises(types.UserError, match=r"--json .*: is a folder"):
    cli.check_writable("--json", str(tmp_path))
  with pytest.raises(types.UserError, match="its folder does not exist"):
    cli.check_writable("--json", str(tmp_path / "no" / "x"))
  cli.check_writable("--json", str(tmp_path / "x"))
  with pytest.raises(types.UserError, match="cannot write"):
    write(tmp_path, "x")
