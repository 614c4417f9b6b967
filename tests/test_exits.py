"""How programs end: codes, one line for an error, streams that fail."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from seq2seq_jax import exits, types

pytestmark = pytest.mark.quick
PROGRAM = f"{sys.executable} -m seq2seq_jax.data.copynet_rules all train"


def shell(line, **env):
  """Code and lines of a shell's command."""
  done = subprocess.run(
    ["bash", "-c", f"set -o pipefail; {line}"],
    capture_output=True,
    text=True,
    env=os.environ | env,
  )
  return done.returncode, done.stderr.splitlines(), done.stdout


@pytest.fixture
def unsignalled(monkeypatch):
  monkeypatch.setattr(exits, "_received", [])


@pytest.mark.parametrize(
  ("error", "code", "line"),
  [
    (types.UserError("bad"), 2, "error: bad"),
    (KeyboardInterrupt(), 130, None),
    (SystemExit(143), 143, None),
    (SystemExit(None), 0, None),
    (MemoryError(), 2, "error: there is not enough memory"),
    (
      RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"),
      2,
      "error: the device has not enough memory",
    ),
    (
      RuntimeError("Unable to initialize backend 'tpu': no\nsuch"),
      2,
      "error: JAX_PLATFORMS=",
    ),
    (
      OSError(errno.ENOSPC, "No space left on device", "runs/x"),
      2,
      "error: runs/x: No space left on device; make room",
    ),
    (
      OSError(errno.EBADF, "Bad file descriptor"),
      2,
      "error: standard input cannot be read",
    ),
    (
      OSError(errno.EMFILE, "Too many open files"),
      2,
      "error: Too many open files; allow more open files",
    ),
  ],
  ids=lambda value: type(value).__name__,
)
def test_an_error_is_a_code_and_one_line(
  error, code, line, capsys, unsignalled
):
  def main():
    raise error

  assert exits.code_of(main) == code
  out, err = capsys.readouterr()
  assert out == "" and err.count("\n") == (line is not None)
  assert err.startswith(line or "")


def test_a_fault_of_the_program_leaves_its_traceback_in_a_file(
  capsys, monkeypatch, tmp_path, unsignalled
):
  monkeypatch.setattr(exits.tempfile, "tempdir", str(tmp_path))
  assert exits.code_of(lambda: 1 // 0) == exits.INTERNAL_ERROR
  line = capsys.readouterr().err
  (path,) = tmp_path.iterdir()
  assert line.count("\n") == 1 and str(path) in line
  assert "ZeroDivisionError" in line and "report" in line
  assert "Traceback" in path.read_text()


def test_what_is_raised_after_a_signal_is_not_told(capsys, monkeypatch):
  monkeypatch.setattr(exits, "_received", [signal.SIGTERM])
  assert exits.code_of(lambda: 1 // 0) == 128 + signal.SIGTERM
  assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
  ("streams", "code", "told"),
  [
    (">/dev/full", 2, "error: standard output: No space left on device"),
    (">&-", 2, "error: standard output is closed"),
    ("| head -1 >/dev/null", 128 + signal.SIGPIPE, None),
    ("| true", 128 + signal.SIGPIPE, None),
    ("2>&- >/dev/null", 0, None),
    ("2>/dev/full >&-", 2, None),
    ("<&- >/dev/null", 0, None),
  ],
)
def test_standard_streams_that_fail(streams, code, told):
  status, lines, _ = shell(f"{PROGRAM} {streams}")
  assert status == code
  assert len(lines) == (told is not None)
  assert told is None or lines[0].startswith(told)


def test_letters_in_a_locale_without_them():
  status, (line,), _ = shell(
    f"{sys.executable} -m seq2seq_jax.data.scan é test",
    LC_ALL="C",
    PYTHONUTF8="0",
    PYTHONCOERCECLOCALE="0",
  )
  assert status == 2 and "no split 'é'" in line


def test_an_argument_that_is_no_text():
  status, (line,), _ = shell(f"{PROGRAM} $'a\\xff'")
  assert status == 2 and r"the argument a\xff is not UTF-8" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_program_through_its_finally_clauses(number, tmp_path):
  script = tmp_path / "script.py"
  script.write_text(
    "import os, time\n"
    "from seq2seq_jax import exits\n"
    "def main():\n"
    "  try:\n"
    f"    os.kill(os.getpid(), {int(number)})\n"
    "    time.sleep(9)\n"
    "  finally:\n"
    "    print('tidy', flush=True)\n"
    "    [].pop()\n"
    "exits.run(main)\n"
  )
  status, lines, out = shell(f"{sys.executable} {script}")
  assert (status, lines, out) == (128 + number, [], "tidy\n")


def test_a_signal_that_is_swallowed_is_raised_again(tmp_path):
  script = tmp_path / "script.py"
  script.write_text(
    "import contextlib, os, time\n"
    "from seq2seq_jax import exits\n"
    "exits.AGAIN_SECONDS = 0.2\n"
    "def main():\n"
    "  with contextlib.suppress(KeyboardInterrupt):\n"
    f"    os.kill(os.getpid(), {int(signal.SIGINT)})\n"
    "    time.sleep(9)\n"
    "  time.sleep(9)\n"
    "exits.run(main)\n"
  )
  began = time.monotonic()
  status, lines, _ = shell(f"{sys.executable} {script}")
  assert (status, lines) == (128 + signal.SIGINT, [])
  assert time.monotonic() - began < 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_destructor_is_not_lost(number, tmp_path):
  script = tmp_path / "script.py"
  script.write_text(
    "import os, time\n"
    "from seq2seq_jax import exits\n"
    "exits.AGAIN_SECONDS = 0.2\n"
    "class Dying:\n"
    "  def __del__(self):\n"
    f"    os.kill(os.getpid(), {int(number)})\n"
    "    time.sleep(0.1)\n"
    "def main():\n"
    "  Dying()\n"
    "  time.sleep(9)\n"
    "  return 0\n"
    "exits.run(main)\n"
  )
  status, lines, _ = shell(f"{sys.executable} {script}")
  assert (status, lines) == (128 + number, [])


def test_what_signals_raise_and_python_drops_leaves_no_traceback(tmp_path):
  script = tmp_path / "script.py"
  script.write_text(
    "from seq2seq_jax import exits\n"
    "class Stopped(BaseException):\n"
    "  pass\n"
    "class Dying:\n"
    "  def __init__(self, error):\n"
    "    self.error = error\n"
    "  def __del__(self):\n"
    "    raise self.error\n"
    "def main():\n"
    "  Dying(Stopped())\n"
    "  Dying(ValueError('told'))\n"
    "  return 0\n"
    "exits.run(main)\n"
  )
  status, lines, _ = shell(f"{sys.executable} {script}")
  assert status == 0 and lines[-1] == "ValueError: told"
  assert not any("Stopped" in line for line in lines)


def test_a_platform_that_jax_lacks_is_named(capsys, monkeypatch, unsignalled):
  monkeypatch.setenv("JAX_PLATFORMS", "cuda")
  code = compile("assert False", "/jax/_src/xla_bridge.py", "exec")
  assert exits.code_of(lambda: exec(code)) == exits.BAD_USAGE
  assert "JAX_PLATFORMS=cuda: this machine" in capsys.readouterr().err


def test_the_interpreter_is_not_taken_apart(tmp_path):
  script = tmp_path / "script.py"
  script.write_text(
    "import atexit, os\n"
    "from seq2seq_jax import exits\n"
    "class Late:\n"
    "  def __del__(self):\n"
    "    os.abort()\n"
    "def main():\n"
    "  global late\n"
    "  late = Late()\n"
    "  atexit.register(print, 'tidy', flush=True)\n"
    "  print('answer')\n"
    "  return 3\n"
    "exits.run(main)\n"
  )
  status, lines, out = shell(f"{sys.executable} {script}")
  assert (status, lines, out) == (3, [], "answer\ntidy\n")
