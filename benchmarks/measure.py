"""Timing of several programs in turn, and how the result is shown."""

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable


class Subprocess:
  """A program in a process of its own, as its users run it.

  So its threads, memory and allocator are its own. `build(*args)` is called
  there, and returns the program: a function that runs once, to its end, device
  work included.
  """

  def __init__(self, build: Callable, *args):
    context = multiprocessing.get_context("spawn")
    self.pipe, theirs = context.Pipe()
    self.process = context.Process(
      target=_serve, args=(theirs, build, args), daemon=True
    )
    self.process.start()
    theirs.close()
    try:
      self.facts = self.pipe.recv()
    except EOFError:
      sys.exit(f"{build.__name__}: its process ended, for the reason above")

  def __call__(self, calls: int = 1) -> float:
    """Runs so many times, one after the other; mean seconds."""
    self.pipe.send(calls)
    return self.pipe.recv()

  def end(self) -> None:
    """Ends the process."""
    self.pipe.close()
    self.process.join()


def _serve(pipe, build, args):
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
  programs: dict[str, Subprocess], rounds: int, calls: int = 4
) -> dict[str, list[float]]:
  """Mean seconds of each program in each round, the programs in turn.

  A round is `calls` calls, as steps follow each other in training.

  The order turns by one each round, so none always follows the same other, and
  the threads of the one before get time to fall asleep.
  """
  for program in programs.values():
    program(calls)
  names, seconds = list(programs), {name: [] for name in programs}
  for n in range(rounds):
    for name in names[n % len(names) :] + names[: n % len(names)]:
      time.sleep(0.2)
      seconds[name].append(programs[name](calls))
  return seconds


def quartiles(values: list[float]) -> dict[str, float]:
  """Median and quartiles."""
  if len(values) == 1:
    return dict.fromkeys(("median", "low", "high"), values[0])
  low, median, high = statistics.quantiles(values, n=4, method="inclusive")
  return {"median": median, "low": low, "high": high}


def ratio(seconds: dict[str, list[float]], ours: str, peer: str):
  """Ours over the peer's, round by round."""
  return quartiles([a / b for a, b in zip(seconds[ours], seconds[peer])])


def machine() -> dict:
  """What a figure belongs to."""
  import jax
  import jaxlib

  versions = {"python": platform.python_version(), "jax": jax.__version__}
  versions["jaxlib"] = jaxlib.__version__
  for name in ("flax", "torch", "keras"):
    try:
      versions[name] = __import__(name).__version__
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
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as f:
      names = [x for x in f if x.startswith("model name")]
    return names[0].partition(":")[2].strip()
  except (OSError, IndexError):
    return platform.processor()


def setup() -> None:
  """What our command lines do too."""
  from seq2seq_jax.runtime import glibc

  glibc.keep()


def parser(doc: str) -> argparse.ArgumentParser:
  p = argparse.ArgumentParser(description=doc.split("\n\n")[0])
  p.add_argument("--json", metavar="FILE", help="file for the result")
  p.add_argument("--rounds", type=int, default=0, help="measurements of each")
  return p


def report(args, result: dict) -> None:
  """Prints a result, and writes it where asked."""
  result = {"machine": machine()} | result
  for name, value in result.items():
    print(f"{name}: {_text(value)}")
  if args.json:
    with open(args.json, "w", encoding="utf-8") as f:
      json.dump(result, f, indent=2)
      f.write("\n")


def _text(value) -> str:
  if isinstance(value, dict) and set(value) == {"median", "low", "high"}:
    return f"{value['median']:.4g} ({value['low']:.4g} to {value['high']:.4g})"
  if isinstance(value, dict):
    return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
  return f"{value:.4g}" if isinstance(value, float) else str(value)
