"""`python -m tests.monkey`: runs cases and prints what is wrong."""

import argparse
import collections
import json
import pathlib
import queue
import tempfile
import threading
import time

from tests.monkey import base, checks, client, generate


def main() -> None:
  """Runs the chosen cases in some servers at once."""
  p = argparse.ArgumentParser(prog="python -m tests.monkey")
  p.add_argument("--kind", action="append", default=[])
  p.add_argument("--module", action="append", default=[])
  p.add_argument("--name", default="", help="part of it")
  p.add_argument("--seed", type=int, default=generate.SEED)
  p.add_argument("--jobs", type=int, default=2)
  p.add_argument("--base", type=pathlib.Path, help="folder to keep the base in")
  p.add_argument("--report", type=pathlib.Path, help="JSON lines of all cases")
  p.add_argument("--list", action="store_true")
  args = p.parse_args()
  chosen = [
    case
    for case in generate.cases(args.seed)
    if (not args.kind or case.kind in args.kind)
    and (not args.module or case.module in args.module)
    and args.name in case.name
  ]
  counts = collections.Counter(case.kind for case in chosen)
  print(len(chosen), dict(counts))
  print(dict(collections.Counter(case.module for case in chosen)))
  if args.list:
    return
  waiting: queue.SimpleQueue = queue.SimpleQueue()
  for case in chosen:
    waiting.put(case)
  lock, failed = threading.Lock(), []
  scratch = pathlib.Path(tempfile.mkdtemp(prefix="monkey_"))

  def work(number: int) -> None:
    with client.server(scratch / f"scratch{number}") as server:
      made = base.Base((args.base or scratch) / f"base{number}", server)
      while not waiting.empty():
        case = waiting.get()
        outcome = checks.judge(case, server, made, scratch / f"case{number}")
        with lock:
          report(case, outcome)

  def report(case, outcome) -> None:
    if outcome.problems:
      failed.append(case)
      print(f"--- {case.kind}: {case.name} ({outcome.seconds:.1f} s)")
      print(f"    {case.module} {' '.join(case.words)[:200]!a}")
      print(f"    {'; '.join(outcome.problems)}"[:1000])
      for line in outcome.stderr.strip().splitlines()[-3:]:
        print(f"    | {line[:300]!a}")
    if args.report:
      with args.report.open("a") as f:
        row = {
          "kind": case.kind,
          "module": case.module,
          "name": case.name,
          "code": outcome.code,
          "seconds": round(outcome.seconds, 2),
          "problems": outcome.problems,
          "stderr": outcome.stderr[-3000:],
        }
        f.write(json.dumps(row) + "\n")

  start = time.monotonic()
  threads = [threading.Thread(target=work, args=(n,)) for n in range(args.jobs)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  seconds = time.monotonic() - start
  kinds = dict(collections.Counter(case.kind for case in failed))
  print(f"{len(failed)} of {len(chosen)} fail, {seconds:.0f} s: {kinds}")


if __name__ == "__main__":
  main()
