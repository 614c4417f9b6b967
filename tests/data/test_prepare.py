"""The preparing command writes what training reads, or says why not."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

from seq2seq_jax import types
from seq2seq_jax.data import prepare, sources

ROOT = pathlib.Path(__file__).parents[2]
NAME = "prepare_test_pairs/de-en"
HAS_TF = importlib.util.find_spec("tensorflow") is not None


@pytest.fixture(scope="module")
def tfds():
  return pytest.importorskip("tensorflow_datasets")


@pytest.fixture(scope="module")
def builder(tfds):
  """A registered set of two splits; `fail` is raised instead of its data."""

  class PrepareTestPairs(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="de-en", description="x"),)
    fail = None

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        description="pairs",
        features=tfds.features.Translation(languages=("de", "en")),
        disable_shuffling=True,
      )

    def _split_generators(self, dl_manager):
      if self.fail:
        raise self.fail
      return {"train": self._generate_examples(9)}

    def _generate_examples(self, n):
      for i in range(n):
        yield i, {"de": f"häus {i}", "en": f"house {i}"}

  return PrepareTestPairs


@pytest.fixture(autouse=True)
def _succeeds(request):
  yield
  if "builder" in request.fixturenames:
    request.getfixturevalue("builder").fail = None


def test_prepared_sets_are_read_back(builder, tmp_path, capsys):
  args = [NAME, "--data-dir", str(tmp_path)]
  assert prepare.main(args) == 0
  folder = pathlib.Path(capsys.readouterr().out.splitlines()[-1])
  assert folder == tmp_path / NAME / "1.0.0"
  info = json.loads((folder / "dataset_info.json").read_text())
  assert info["fileFormat"] == "array_record"
  source = sources.Tfds(NAME, "train", "de", "en", str(tmp_path))
  assert [source[i] for i in range(len(source))] == [
    (f"häus {i}", f"house {i}") for i in range(9)
  ]
  # A second time there is nothing to do, and nothing changes.
  before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
  assert prepare.main(args) == 0
  assert before == {p: p.stat().st_mtime_ns for p in folder.iterdir()}


def test_the_folder_comes_from_the_environment(builder, tmp_path, monkeypatch):
  monkeypatch.setenv("SEQ2SEQ_JAX_DATA", str(tmp_path))
  assert prepare.main([NAME]) == 0
  assert (tmp_path / NAME / "1.0.0" / "dataset_info.json").exists()


def test_another_format_is_not_mixed_in(tfds, builder, tmp_path):
  tfds.builder(
    NAME, data_dir=tmp_path, file_format="parquet"
  ).download_and_prepare()
  with pytest.raises(types.UserError, match="other than array_record"):
    prepare.prepare(NAME, str(tmp_path))


@pytest.mark.parametrize(
  "name,said",
  [
    ("ted_hrlr_translat", "no set 'ted_hrlr_translat'; nearest: ted_hrlr_tra"),
    ("ted_hrlr_translate/pt_en", "'pt_en'; nearest: pt_to_en"),
    ("ted_hrlr_translate/pt_to_en:9.9.9", "9.9.9, only: 1.0.0"),
  ],
)
def test_names_that_tfds_does_not_know(tfds, tmp_path, capsys, name, said):
  assert prepare.main([name, "--data-dir", str(tmp_path)]) == 1
  err = capsys.readouterr().err
  assert said in err and "Traceback" not in err
  assert not any(tmp_path.iterdir())


@pytest.mark.skipif(HAS_TF, reason="TensorFlow is installed")
def test_sets_with_audio_need_tensorflow(tfds, tmp_path, capfd):
  assert prepare.main(["ljspeech", "--data-dir", str(tmp_path)]) == 1
  assert "-e '.[prepare]'" in capfd.readouterr().err


def test_a_set_that_only_tensorflow_registers(tfds, tmp_path, monkeypatch):
  def not_found(*args, **kwargs):
    raise tfds.core.DatasetNotFoundError(
      "Dataset wmt14_translate not found.\nAvailable datasets:\n\t- opus\n"
      "\t- wmt14_translate\nCheck that: ..."
    )

  monkeypatch.setattr(tfds, "builder", not_found)
  with pytest.raises(
    types.UserError, match=r"its builder imports.*\[prepare\]"
  ):
    prepare.prepare("wmt14_translate/de-en", str(tmp_path))


def _wrapped(name):
  """An import error as TFDS hands it on, with words and without a name."""
  error = ModuleNotFoundError(f"Failed to do it: No module named {name!r}")
  error.__cause__ = ModuleNotFoundError(f"No module named {name!r}", name=name)
  return error


def _from(module, base=OSError):
  return type("Failure", (base,), {"__module__": module})("no route\nto host")


@pytest.mark.parametrize(
  "error,said",
  [
    (_wrapped("tensorflow"), "-e '.[prepare]'"),
    (ModuleNotFoundError("No module", name="tensorflow"), "[prepare]"),
    (
      _wrapped("bs4.element"),
      "needs the module bs4.element; install it with pip install bs4",
    ),
    (_from("requests.exceptions"), "download failed"),
    (_from("urllib3.exceptions", Exception), "download failed"),
    (OSError(28, "No space left on device"), "No space left on device"),
    (AssertionError("Manual directory is missing"), "Manual directory"),
  ],
)
def test_failures_are_one_message(builder, tmp_path, capsys, error, said):
  builder.fail = error
  assert prepare.main([NAME, "--data-dir", str(tmp_path)]) == 1
  last = capsys.readouterr().err.strip().splitlines()[-1]
  assert last.startswith(f"error: TFDS {NAME}: ") and said in last
  with pytest.raises(types.UserError, match="not prepared"):
    sources.Tfds(NAME, "train", "de", "en", str(tmp_path))


def test_tfds_own_download_errors(tfds, builder, tmp_path):
  builder.fail = tfds.download.DownloadError("Failed to get url")
  with pytest.raises(types.UserError, match=r"download failed.*get url"):
    prepare.prepare(NAME, str(tmp_path))


def test_an_interrupt_is_no_traceback(builder, tmp_path, capsys):
  builder.fail = KeyboardInterrupt()
  assert prepare.main([NAME, "--data-dir", str(tmp_path)]) == 130
  assert "interrupted" in capsys.readouterr().err


@pytest.mark.quick
@pytest.mark.parametrize("module", ["tensorflow_datasets", "array_record"])
def test_a_missing_extra_is_named(monkeypatch, module, capsys):
  monkeypatch.setitem(sys.modules, module, None)
  assert prepare.main(["opus/medical"]) == 1
  err = capsys.readouterr().err
  assert "-e '.[data]'" in err and module in err


@pytest.mark.quick
@pytest.mark.parametrize("args,code", [(["--help"], 0), ([], 2)])
def test_the_command_line(args, code):
  done = subprocess.run(
    [sys.executable, "-m", "seq2seq_jax.data.prepare", *args],
    capture_output=True,
    text=True,
    cwd=ROOT,
  )
  assert done.returncode == code
  assert "--data-dir" in done.stdout + done.stderr
