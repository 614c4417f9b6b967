"""Paths of remote file systems are no local folders."""

import pathlib

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import corpus, text_files
from seq2seq_jax.inference import loading
from seq2seq_jax.runtime import files
from seq2seq_jax.training import loop

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
  "path", ["gs://bucket/run", "s3://b/x", "hdfs://h:9000/x", "file:///b/x"]
)
def test_a_remote_path_is_refused_before_data_is_read(
  path, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  scheme = path.split("://")[0]
  conf = config.Config()
  for refused in (
    lambda: loop.fit(conf, path),
    lambda: loop.fit(conf, pathlib.Path(path)),
    lambda: loading.read_config(pathlib.Path(path)),
    lambda: files.check_writable("--output", path),
    lambda: text_files.read(path),
    lambda: corpus.root(config.Data(root=path)),
  ):
    with pytest.raises(types.UserError, match=f"{scheme}:// is a file system"):
      refused()
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["runs/x", "/a:b/c", "a:b", "C:/x", "x/gs:/y"])
def test_a_local_path_passes(path):
  types.check_local("--workdir", path)
