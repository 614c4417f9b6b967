"""Experiments are found beside the checkout, or in the installed package."""

import pathlib

import pytest

from seq2seq_jax import config
from seq2seq_jax.config import shipped

pytestmark = pytest.mark.quick


def test_a_file_of_the_working_folder_goes_first(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "configs").mkdir()
  (tmp_path / "configs" / "scan_simple.py").touch()
  path = shipped.find("configs/scan_simple.py")
  assert path == pathlib.Path("configs/scan_simple.py")


def test_elsewhere_the_shipped_file_is_read_and_named(
  tmp_path, monkeypatch, caplog
):
  here = config.load("configs/scan_simple.py")
  monkeypatch.chdir(tmp_path)
  caplog.set_level("INFO", "seq2seq_jax")
  assert config.load("configs/scan_simple.py") == here
  assert "configs/scan_simple.py: not in this folder; using" in caplog.text
  suite = shipped.find("configs/ablations/scan.py")
  assert suite.is_absolute() and suite.is_file()


def test_other_paths_are_left_alone(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in ("configs/none.py", "scan_simple.py", "/configs/scan_simple.py"):
    assert shipped.find(name) == pathlib.Path(name)
