"""Archives of arrays: what is whole is read, anything else is one message."""

import io
import zipfile

import numpy as np
import pytest

from seq2seq_jax import archives, types

pytestmark = pytest.mark.quick
WANTED = {
  "key": archives.Wanted("U", ()),
  "rows": archives.Wanted("iu", (None, 2)),
}
ROWS = np.arange(6).reshape(3, 2)


def saved(**arrays):
  content = io.BytesIO()
  np.savez(content, **arrays)
  return content.getvalue()


def npy(value):
  content = io.BytesIO()
  np.save(content, value)
  return content.getvalue()


def zipped(name, content):
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w") as archive:
    archive.writestr(name, content)
  return file.getvalue()


def test_what_was_saved_is_read(tmp_path):
  path = tmp_path / "a.npz"
  path.write_bytes(saved(key="x", rows=ROWS))
  arrays = archives.read(path, WANTED)
  assert str(arrays["key"]) == "x" and np.array_equal(arrays["rows"], ROWS)
  assert archives.read(path).keys() == arrays.keys()


@pytest.mark.parametrize(
  ("content", "told"),
  [
    (b"", r"is not a whole \.npz file"),
    (b"PK and then nothing", r"is not a whole \.npz file"),
    (saved(key="x", rows=ROWS)[:-40], r"is not a whole \.npz file"),
    (npy(ROWS), r"is not a whole \.npz file"),
    (b"\x80\x04N.", r"is not a whole \.npz file"),
    (saved(key="x", rows=np.array([{}])), "not a whole .*Object arrays"),
    (zipped("rows.npy", npy(ROWS)[:-9]), "not a whole .npz file of arrays"),
    (zipped("rows.npy", b"\x93NUMPY\x09\x00"), "not a whole .npz file of"),
    (zipped("rows.txt", b"text"), "rows.txt is no array"),
    (saved(rows=ROWS), "lacks the array key"),
    (saved(key="x", rows=ROWS, more=ROWS), "has the unknown array more"),
    (saved(key="x", rows=ROWS * 0.5), "rows must hold integer values, but"),
    (saved(key="x", rows=ROWS.T), r"the shape \[any, 2\], but has \[2, 3\]"),
    (saved(key="x", rows=ROWS[0]), r"the shape \[any, 2\], but has \[2\]"),
    (saved(key=["x"], rows=ROWS), r"key must have the shape \[\], but has"),
  ],
  # The bytes hold a time, which differs between two processes.
  ids=lambda value: value if isinstance(value, str) else "content",
)
def test_what_is_not_wanted_is_named(content, told, tmp_path):
  path = tmp_path / "a.npz"
  path.write_bytes(content)
  with pytest.raises(types.UserError, match=rf"a\.npz: .*{told}"):
    archives.read(path, WANTED)


def test_a_file_that_cannot_be_read(tmp_path):
  for path, told in ((tmp_path, "is not a file"), (tmp_path / "x", "No such")):
    with pytest.raises(types.UserError, match=f"cannot read: {told}"):
      archives.read(path)
