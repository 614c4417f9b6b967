"""What all commands share: help without JAX, versions, errors, the counter."""

import importlib
import subprocess
import sys

import pytest

import seq2seq_jax
from seq2seq_jax import __main__ as console
from seq2seq_jax import cli, types
from seq2seq_jax.runtime import jax_setup

pytestmark = pytest.mark.quick


def run(*words):
  return subprocess.run(
    [sys.executable, "-m", *words], capture_output=True, text=True
  )


def test_the_console_script_lists_every_command():
  done = run("seq2seq_jax", "--help")
  assert done.returncode == 0
  for command in console.COMMANDS:
    assert f"  {command} " in done.stdout
  done = run("seq2seq_jax", "trian")
  assert done.returncode == 2
  assert "error: trian: no such command" in done.stderr


@pytest.mark.parametrize("command", console.COMMANDS)
def test_every_command_answers_help(command, monkeypatch, capsys):
  module = importlib.import_module(console.COMMANDS[command][0])
  assert callable(module.main)
  monkeypatch.setattr(sys, "argv", ["seq2seq-jax", command, "--help"])
  with pytest.raises(SystemExit) as e:
    sys.exit(console.main())
  said = capsys.readouterr()
  assert e.value.code == 0 and not said.err
  assert said.out.startswith("usage: ") and len(said.out.splitlines()) > 1


def test_the_console_script_is_the_module():
  one = run("seq2seq_jax", "decode", "--help")
  two = run("seq2seq_jax.decode", "--help")
  assert one.returncode == two.returncode == 0
  assert one.stdout == two.stdout != ""


@pytest.mark.parametrize(
  "module",
  ["seq2seq_jax", *(module for module, _ in console.COMMANDS.values())],
)
def test_the_version_is_printed(module):
  done = run(module, "--version")
  assert done.stdout == f"seq2seq_jax {seq2seq_jax.__version__}\n"
  assert done.returncode == 0


@pytest.mark.parametrize(
  ("error", "code"),
  [(types.UserError("bad"), 2), (KeyboardInterrupt(), 130)],
  ids=["bad input", "Ctrl-C"],
)
def test_a_command_ends_with_a_code_and_no_traceback(
  error, code, capsys, monkeypatch
):
  def main():
    raise error

  monkeypatch.setattr(cli.glibc, "tune_malloc", lambda: None)
  monkeypatch.setattr(cli.exits, "_code", None)  # the tests go on
  with pytest.raises(SystemExit) as end:
    cli.run(main)
  cli.log.hide()
  assert end.value.code == code
  assert capsys.readouterr().err == ("error: bad\n" if code == 2 else "")


def test_the_counter_counts_only_where_it_is_shown(capsys):
  with cli.counter(shown=False) as show:
    assert show is None
  assert capsys.readouterr().err == ""
  with cli.counter(shown=True) as show:
    show(0)
    show(1000, 1000)
  assert "1,000/1,000 sentences" in capsys.readouterr().err


def test_compiled_programs_are_kept_by_the_processor(monkeypatch, tmp_path):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  folder = jax_setup.cache_folder()
  assert folder.is_relative_to(tmp_path / "seq2seq_jax" / "xla")
  assert folder == jax_setup.cache_folder()


@pytest.mark.parametrize(
  "text", ["0", "-3", "1e3", "1_0", " 1", "²", "٣", "9" * 5000, "1000000001"]
)
def test_a_flag_takes_whole_numbers_in_a_range(text):
  p = cli.Parser(prog="x")
  p.add_argument("--n", type=cli.positive)
  with pytest.raises(types.UserError, match="argument --n: ") as e:
    p.parse_args([f"--n={text}"])
  assert len(str(e.value)) < 120


def test_an_unknown_flag_gets_the_nearest():
  p = cli.Parser(prog="x")
  p.add_argument("--workdir", required=True)
  with pytest.raises(
    types.UserError, match=r"--work-dir: .*nearest: --workdir"
  ):
    p.parse_known_args(["--work-dir", "y"])
  _, rest = p.parse_known_args(["--workdir=y", "--train.steps", "3"])
  assert rest == ["--train.steps", "3"]


HEAVY = {"jax", "flax", "optax", "orbax", "grain", "tensorflow", "matplotlib"}


@pytest.mark.parametrize(
  "words",
  [
    ["-c", "import seq2seq_jax"],
    ["-m", "seq2seq_jax", "--help"],
    ["-m", "seq2seq_jax.train", "--help"],
    ["-m", "seq2seq_jax.evaluate", "--help"],
    ["-m", "seq2seq_jax.decode", "--help"],
    ["-m", "seq2seq_jax.ablate", "--help"],
    ["-m", "seq2seq_jax.convert", "--help"],
    ["-m", "seq2seq_jax.export", "--help"],
  ],
  ids=lambda words: words[1],
)
def test_help_imports_nothing_heavy(words):
  done = subprocess.run(
    [sys.executable, "-X", "importtime", *words], capture_output=True, text=True
  )
  assert done.returncode == 0
  modules = {
    line.rpartition("|")[2].strip() for line in done.stderr.split("\n")
  }
  assert "seq2seq_jax" in modules
  assert not {name.partition(".")[0] for name in modules} & HEAVY
