"""Text files are read to their end or refused with their name and line."""

import gzip
import os
import pathlib
import threading

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import corpus, text_files

# What separates lines for str.splitlines, but is text here.
STRAY = "a\rb\u2028c\u2029d\x0be\x0cf\x1cg\x85h"


def _write(path: pathlib.Path, content, zipped=False) -> pathlib.Path:
  data = content if isinstance(content, bytes) else content.encode()
  path.write_bytes(gzip.compress(data) if zipped else data)
  return path


@pytest.mark.quick
@pytest.mark.parametrize("zipped", [False, True])
def test_lines_end_at_line_feeds_alone(tmp_path, zipped):
  path = tmp_path / ("x.gz" if zipped else "x")
  _write(path, f"{STRAY}\nüber\r\n\n \nlast", zipped)
  assert text_files.read(path) == [STRAY, "über", "", " ", "last"]
  _write(path, "a\n\n", zipped)
  assert text_files.read(str(path)) == ["a", ""]
  _write(path, "", zipped)
  assert text_files.read(path) == []


@pytest.mark.quick
def test_a_byte_order_mark_is_no_text(tmp_path):
  (tmp_path / "x").write_bytes(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n")
  assert text_files.read(tmp_path / "x") == ["a", "\ufeffb"]


@pytest.mark.quick
@pytest.mark.parametrize("zipped", [False, True])
def test_invalid_utf8_names_file_and_line(tmp_path, zipped):
  path = _write(tmp_path / "x.gz", b"good\r\n\xff\xfe\nx\n", zipped=True)
  if not zipped:
    path = _write(tmp_path / "x", b"good\r\n\xff\xfe\nx\n")
  with pytest.raises(types.UserError, match=r"line 2: not UTF-8") as e:
    text_files.read(path)
  assert str(path) in str(e.value)


@pytest.mark.quick
@pytest.mark.parametrize("keep", [-1, -9, 25, 12, 5])
def test_a_truncated_gzip_is_never_half_read(tmp_path, keep):
  whole = gzip.compress(b"one line and another\n" * 50)
  path = _write(tmp_path / "x.gz", whole[:keep])
  with pytest.raises(types.UserError, match="damaged gzip file") as e:
    text_files.read(path)
  assert str(path) in str(e.value)


@pytest.mark.quick
def test_plain_text_named_gz_and_folders_are_refused(tmp_path):
  path = _write(tmp_path / "x.gz", "text\n")
  with pytest.raises(types.UserError, match="damaged gzip file"):
    text_files.read(path)
  with pytest.raises(types.UserError, match="is a folder, not a file"):
    text_files.read(tmp_path)


@pytest.mark.quick
def test_a_missing_file_is_named_in_full(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(types.UserError) as e:
    text_files.read("no.txt")
  assert str(tmp_path / "no.txt") in str(e.value)


@pytest.mark.quick
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-be"])
def test_other_encodings_are_named(tmp_path, encoding):
  """UTF-16 of ASCII text is valid UTF-8: every other byte is 0."""
  path = _write(tmp_path / "x", "one\ntwo\n".encode(encoding))
  said = {"utf-16": "is UTF-16", "utf-32": "is UTF-32"}
  with pytest.raises(
    types.UserError, match=said.get(encoding, "line 1: .* a byte 0")
  ) as e:
    text_files.read(path)
  assert str(path) in str(e.value)


@pytest.mark.quick
@pytest.mark.parametrize(
  "content,said",
  [
    (b"a\nb\0c\n", "line 2: not UTF-8 text: it has a byte 0"),
    (b"one\rtwo\rthree\r", "lines end with CR alone"),
    (b"caf\xe9\n", "line 1: not UTF-8"),
    (b"a\n\xed\xa0\x80\n", "line 2: not UTF-8"),  # half of a character
    (gzip.compress(b"a\n", mtime=0), "is gzipped; let its name end in .gz"),
    (b"PK\x03\x04...", "is a zip archive"),
    (b"\xfd7zXZ\x00...", "is an xz file"),
  ],
)
def test_what_is_no_text_is_refused(tmp_path, content, said):
  with pytest.raises(types.UserError, match=said) as e:
    text_files.read(_write(tmp_path / "x", content))
  assert str(tmp_path / "x") in str(e.value) and "\n" not in str(e.value)


def test_a_file_that_unpacks_beyond_all_bounds_is_refused(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(text_files, "FREE_BYTES", 2**20)
  monkeypatch.setattr(text_files, "CHUNK", 2**16)
  bomb = _write(tmp_path / "x.gz", b"a\n" * 2**20, zipped=True)
  with pytest.raises(types.UserError, match=r"x\.gz: 2,.* unpack to more than"):
    text_files.read(bomb)
  # Text that repeats itself is fine, and so are several members.
  two = gzip.compress(b"".join(b"%d\n" % i for i in range(2**17))) * 2
  assert len(text_files.read(_write(tmp_path / "y.gz", two))) == 2**18


@pytest.fixture
def odd(tmp_path):
  """Paths that lead to no file that can be read to its end."""
  os.mkfifo(tmp_path / "pipe")
  (tmp_path / "loop").symlink_to(tmp_path / "loop")
  (tmp_path / "dangling").symlink_to(tmp_path / "gone")
  (tmp_path / "to_pipe").symlink_to(tmp_path / "pipe")
  (tmp_path / "folder").mkdir()
  (tmp_path / "file").write_text("x\n")
  return tmp_path


ODD = [
  ("pipe", "is a named pipe"),
  ("to_pipe", "is a named pipe"),
  ("loop", "cannot read: Too many levels of symbolic links"),
  ("dangling", "is a link to .*gone, which is not there"),
  ("folder", "is a folder, not a file"),
  ("file/below", "no such file"),
  ("n" * 300, "cannot read: File name too long"),
  ("/dev/zero", "is a device, not a file"),
  ("/dev/tty", "is a device, not a file"),
  ("nul\0", "no file can have this name"),
  ("gr\udce4n", "no such file"),  # a byte that is not UTF-8
]


@pytest.mark.quick
@pytest.mark.parametrize("name,said", ODD)
def test_paths_that_cannot_be_read_to_an_end(odd, name, said):
  with pytest.raises(types.UserError, match=said):
    text_files.read(odd / name)
  for task, n in (("language_model", 1), ("tsv", 1), ("parallel", 2)):
    if not name.isprintable():  # the schema refuses it before
      with pytest.raises(types.UserError, match=r"data\.train: .*no text can"):
        config.Data(task=task, root=str(odd), train=(name,) * n)
      continue
    data = config.Data(task=task, root=str(odd), train=(name,) * n)
    with pytest.raises(types.UserError, match=f"data.train: .*{said}") as e:
      corpus.Corpus(data)
    assert ("--data.root" in str(e.value)) == ("no such file" in said)


@pytest.mark.quick
def test_an_open_pipe_of_the_shell_is_read(tmp_path):
  """`<(COMMAND)` is a path such as /dev/fd/63."""
  reader, writer = os.pipe()
  thread = threading.Thread(
    target=lambda: (os.write(writer, b"a\nb\n"), os.close(writer))
  )
  thread.start()
  try:
    assert text_files.read(f"/dev/fd/{reader}") == ["a", "b"]
  finally:
    thread.join()
    os.close(reader)


@pytest.mark.quick
def test_a_file_that_goes_away_while_it_is_read(tmp_path, monkeypatch):
  path = _write(tmp_path / "x", "a\n")

  def fail(self):
    raise OSError(5, "Input/output error")

  monkeypatch.setattr(pathlib.Path, "read_bytes", fail)
  with pytest.raises(types.UserError, match="x: cannot read: Input/output"):
    text_files.read(path)
