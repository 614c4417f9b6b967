"""Processes that do not find each other are told in one line, and do not wait.

Each is a thread here: the rendezvous needs sockets alone.
"""

import contextlib
import socket
import sys
import threading
from concurrent import futures

import pytest

from seq2seq_jax import cli, types
from seq2seq_jax.runtime import rendezvous

pytestmark = pytest.mark.quick


FLAGS = ("--coordinator", "--processes", "--process-id")
NAMES = (
  "SEQ2SEQ_JAX_COORDINATOR",
  "SEQ2SEQ_JAX_PROCESSES",
  "SEQ2SEQ_JAX_PROCESS",
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
  monkeypatch.setattr(rendezvous, "WAIT_SECONDS", 20)
  monkeypatch.setattr(rendezvous, "POLL_SECONDS", 0.02)


@pytest.fixture
def place():
  """localhost:PORT, where nobody listens."""
  with socket.socket() as s:
    s.bind(("localhost", 0))
    port = s.getsockname()[1]
  return f"localhost:{port}"


def ask(place, words):
  """Connects, sends a line, and hears until the other end hangs up."""
  host, port = rendezvous.address(place)
  for _ in range(200):
    with (
      contextlib.suppress(ConnectionRefusedError),
      socket.create_connection((host, port), timeout=5) as stranger,
    ):
      stranger.sendall(words)
      stranger.shutdown(socket.SHUT_WR)
      return stranger.recv(4096)
    threading.Event().wait(0.01)
  raise AssertionError("nobody listens")


def meet(place, *numbers):
  """What each process is told; empty: it met the others."""

  def one(number):
    try:
      rendezvous.meet(place, *number)
    except types.UserError as e:
      return type(e).__name__, str(e)
    return ""

  with futures.ThreadPoolExecutor(len(numbers)) as pool:
    return list(pool.map(one, numbers, timeout=20))


def join(words, monkeypatch, capsys):
  """What a command says that is started with these words."""
  monkeypatch.setattr(sys, "argv", ["train", *words])
  monkeypatch.setattr(cli.glibc, "tune_malloc", lambda: None)
  monkeypatch.setattr(cli.jax_setup, "cache_programs", lambda: None)
  with pytest.raises(SystemExit) as e:
    cli.run(lambda: pytest.fail("it was run alone"))
  cli.log.hide()
  said = capsys.readouterr().err
  assert e.value.code == 2
  assert said.startswith("error: ") and said.count("\n") == 1
  return said


@pytest.mark.parametrize(
  "words, message",
  [
    (("localhost", "2", "0"), "localhost: write HOST:PORT, such as localhost:"),
    ((":123", "2", "0"), ":123: write HOST:PORT"),
    (("localhost:", "2", "0"), "localhost:: write HOST:PORT"),
    (("localhost:x", "2", "1"), "localhost:x: write HOST:PORT"),
    (("localhost:-1", "2", "1"), "localhost:-1: write HOST:PORT"),
    (("localhost:²", "2", "1"), "localhost:²: write HOST:PORT"),
    (("localhost:0", "2", "0"), "the port is not between 1 and 65535"),
    (("localhost:65536", "2", "1"), "the port is not between 1 and 65535"),
    (("localhost:" + "9" * 30, "2", "1"), "not between 1 and 65535"),
    (("no-such-host.invalid:9", "2", "1"), "no such host: no-such-host.inv"),
    (("a..b:9", "2", "1"), "no such host: a..b"),
    (("localhost:9", "2", "2"), "this one's index from 0 (--process-id or"),
    (("localhost:9", "0", "0"), "needs the number of processes (--processes"),
    (("localhost:9", "2", "-1"), "--process-id: '-1' is not from 0 to"),
    (("localhost:9", "two", "1"), "--processes: 'two' is not a whole number"),
    (("localhost:9", "2"), "this one's index from 0 (--process-id or"),
    (("localhost:9",), "needs the number of processes (--processes"),
    (("", "2", "1"), "--processes and --process-id need --coordinator HOST"),
    (("auto:9", "2", "1"), "no such host: auto"),
  ],
)
def test_a_wrong_place_is_one_line(words, message, monkeypatch, capsys):
  known = socket.getaddrinfo

  def look_up(host, *rest, **options):
    if host in ("no-such-host.invalid", "auto"):
      raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return known(host, *rest, **options)

  monkeypatch.setattr(socket, "getaddrinfo", look_up)
  for name in NAMES:
    monkeypatch.delenv(name, raising=False)
  given = [f"{flag}={word}" for flag, word in zip(FLAGS, words) if word]
  assert message in join(given, monkeypatch, capsys)


@pytest.mark.parametrize(
  "name, value, message",
  [
    (NAMES[0], "localhost", "write HOST:PORT"),
    (NAMES[1], "2x", f"{NAMES[1]}=2x: is not a number"),
    (NAMES[2], "²", f"{NAMES[2]}=²: is not a number"),
    (NAMES[2], "2", f"{NAMES[2]}, is 2)"),
    (NAMES[1], "", f"{NAMES[1]}, is None)"),
  ],
)
def test_a_wrong_environment_is_one_line(
  name, value, message, monkeypatch, capsys
):
  for known, right in zip(NAMES, ("localhost:9", "2", "1")):
    monkeypatch.setenv(known, right)
  monkeypatch.setenv(name, value)
  assert message in join([], monkeypatch, capsys)


def test_all_that_say_the_same_meet(place):
  assert meet(place, (3, 0), (3, 1), (3, 2)) == ["", "", ""]


def test_other_counts_are_told_once(place):
  first, second = meet(place, (2, 0), (3, 1))
  assert first == (
    "UserError",
    f"coordinator {place}: process 0 was told of 2 processes, process 1 of 3; "
    "give all the same --processes",
  )
  assert second == ("Told", first[1])


def test_an_index_that_is_there_twice_is_told_once(place):
  said = meet(place, (3, 0), (3, 1), (3, 1))
  line = (
    f"coordinator {place}: there are two processes 1; give each its own "
    "--process-id"
  )
  assert said == [("UserError", line), ("Told", line), ("Told", line)]


def test_nobody_waits_for_ever(place, monkeypatch):
  monkeypatch.setattr(rendezvous, "WAIT_SECONDS", 0.2)
  [(_, line)] = meet(place, (3, 0))
  assert line.startswith(f"coordinator {place}: process 1 of 3 has not come")
  [(_, line)] = meet(place, (3, 2))
  assert line.startswith(f"coordinator {place}: process 0 does not answer")
  monkeypatch.setattr(rendezvous, "WAIT_SECONDS", 1.5)
  first, second = meet(place, (3, 0), (3, 1))
  assert "process 2 of 3 has not come" in first[1]
  assert second == ("Told", first[1])


def test_a_port_of_another_program_is_told(place, monkeypatch):
  monkeypatch.setattr(rendezvous, "WAIT_SECONDS", 0.2)
  host, port = rendezvous.address(place)
  with socket.create_server((host, port)) as other:
    [(_, line)] = meet(place, (2, 0))
    assert line.startswith(f"coordinator {place}: process 0 cannot listen")

    def answer():
      while True:
        try:
          guest, _ = other.accept()
        except OSError:
          return
        with guest:
          guest.sendall(b"220 another program\r\n")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    [(_, line)] = meet(place, (2, 1))
    assert line.startswith(f"coordinator {place}: process 0 does not answer")
    other.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b""])
def test_a_stranger_is_not_counted(words, place):
  with futures.ThreadPoolExecutor(2) as pool:
    first = pool.submit(meet, place, (2, 0))
    assert ask(place, words) == b""
    assert meet(place, (2, 1)) == [""]
    assert first.result(20) == [""]
