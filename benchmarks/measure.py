"""Times several programs in turn, and prints the result with its machine."""

import argparse
import datetime
import importlib
import json
import multiprocessing
import multiprocessing.connection
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# What `build` returns: a function that runs once to its end, and facts of it.
Program = tuple[Callable[[], Any], dict[str, Any]]
Quartiles = dict[str, float]


class Subprocess:
  """A program in a process of its own, as its users run it.

  Its threads, memory and allocator are its own, so that two libraries do not
  slow each other down.
  """

  def __init__(self, build: Callable[..., Program], *args: Any):
    """Starts the process and waits until the program is built.

    Args:
      build: called in the process; returns the program, which ends only when
        the device has finished, and a dict of facts.
      args: of `build`; they are pickled.
    """
    context = multiprocessing.get_context("spawn")
    self._pipe, theirs = context.Pipe()
    self._process = context.Process(
      target=_serve, args=(theirs, build, args), daemon=True
    )
    self._process.start()
    theirs.close()
    try:
      self.facts: dict[str, Any] = self._pipe.recv()
    except EOFError:
      sys.exit(f"{build.__name__}: its process ended, for the reason above")

  def __call__(self, calls: int = 1) -> float:
    """Runs the program `calls` times in a row; returns seconds a call."""
    self._pipe.send(calls)
    seconds: float = self._pipe.recv()
    return seconds

  def end(self) -> None:
    """Ends the process."""
    self._pipe.close()
    self._process.join()


def _serve(
  pipe: multiprocessing.connection.Connection,
  build: Callable[..., Program],
  args: tuple[Any, ...],
) -> None:
  """Runs in the process: builds the program, then answers calls."""
  program, facts = build(*args)
  pipe.send(facts)
  while True:
    try:
      calls = pipe.recv()
    except EOFError:
      return
    start = time.perf_counter()
    for _ in range(calls):
      program()
    pipe.send((time.perf_counter() - start) / calls)


def interleave(
  programs: Mapping[str, Subprocess], rounds: int, calls: int = 4
) -> dict[str, list[float]]:
  """Returns seconds a call of each program in each round.

  A round is `calls` calls of each program, one program after the other. The
  order rotates by one each round, so that none always follows the same other,
  and between programs there is a pause in which the threads of the one before
  fall asleep.
  """
  for program in programs.values():
    program(calls)  # compiled and warm before anything is measured
  names = list(programs)
  seconds: dict[str, list[float]] = {name: [] for name in names}
  for n in range(rounds):
    for name in names[n % len(names) :] + names[: n % len(names)]:
      time.sleep(0.2)
      seconds[name].append(programs[name](calls))
  return seconds


def quartiles(values: Sequence[float]) -> Quartiles:
  """Returns the median, and the quartiles as `low` and `high`."""
  if len(values) == 1:
    return dict.fromkeys(("median", "low", "high"), values[0])
  low, median, high = statistics.quantiles(values, n=4, method="inclusive")
  return {"median": median, "low": low, "high": high}


def ratio(
  seconds: Mapping[str, Sequence[float]], ours: str, peer: str
) -> Quartiles:
  """Returns the quartiles of ours over the peer's, round by round."""
  pairs = zip(seconds[ours], seconds[peer], strict=True)
  return quartiles([a / b for a, b in pairs])


def machine() -> dict[str, Any]:
  """Returns the date, processor, device and versions behind a figure."""
  import jax

  versions = {"python": platform.python_version()}
  for name in ("jax", "jaxlib", "flax", "torch", "keras"):
    try:
      versions[name] = importlib.import_module(name).__version__
    except ImportError:
      continue
  return {
    "date": datetime.date.today().isoformat(),
    "device": jax.devices()[0].device_kind,
    "cpu": _cpu(),
    "cores": len(os.sched_getaffinity(0)),
    "versions": versions,
  }


def _cpu() -> str:
  """Returns the processor's name."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as f:
      names = [line for line in f if line.startswith("model name")]
    return names[0].partition(":")[2].strip()
  except (OSError, IndexError):
    return platform.processor()


def setup() -> None:
  """Tunes this process as our commands do."""
  from seq2seq_jax.runtime import glibc

  glibc.tune_malloc()


def parser(doc: str | None) -> argparse.ArgumentParser:
  """Returns the parser of a benchmark, described by its docstring."""
  p = argparse.ArgumentParser(description=(doc or "").split("\n\n")[0])
  p.add_argument("--json", metavar="FILE", help="file for the result")
  p.add_argument("--rounds", type=int, default=0, help="measurements of each")
  return p


def report(args: argparse.Namespace, result: dict[str, Any]) -> None:
  """Prints a result with its machine, and writes it to `--json`."""
  result = {"machine": machine()} | result
  for name, value in result.items():
    print(f"{name}: {_text(value)}")
  if args.json:
    with open(args.json, "w", encoding="utf-8") as f:
      json.dump(result, f, indent=2)
      f.write("\n")


def _text(value: Any) -> str:
  if isinstance(value, dict) and set(value) == {"median", "low", "high"}:
    return f"{value['median']:.4g} ({value['low']:.4g} to {value['high']:.4g})"
  if isinstance(value, dict):
    return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
  return f"{value:.4g}" if isinstance(value, float) else str(value)
