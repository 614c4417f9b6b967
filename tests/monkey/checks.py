"""What no command may do, whatever it was given."""

import dataclasses
import fnmatch
import hashlib
import os
import pathlib
import re
import stat

from tests.monkey import base as base_lib
from tests.monkey import case as case_lib

# Marks of what no user should see.
NOISE = (
  "Traceback (most recent call last)",
  "Exception ignored in",
  "Exception in thread",
  "Fatal Python error",
  "Logging error",
  "terminate called",
  "resource_tracker",
  "<class '",
  "Check failed",
  "a fault of the program",
)
WARNING = re.compile(r"\b[A-Z]\w*Warning: ")
NATIVE_LOG = re.compile(r"^[EWF]\d{4} \d\d:", re.M)
ERROR = re.compile(r"^(?:\S.*: )?error: .*", re.M)
LONGEST_MESSAGE = 12_000  # it may name a path, twice
REFUSAL = 2

Snapshot = dict[str, str]


def snapshot(folder: pathlib.Path) -> Snapshot:
  """Every path below a folder, with what it is and a digest of its content."""
  found: Snapshot = {}
  for parent, folders, names in os.walk(folder):
    for name in (*folders, *names):
      path = pathlib.Path(parent, name)
      found[str(path.relative_to(folder))] = _describe(path)
  return found


def _describe(path: pathlib.Path) -> str:
  status = path.lstat()
  mode = oct(stat.S_IMODE(status.st_mode))
  if stat.S_ISLNK(status.st_mode):
    return f"link to {os.readlink(path)}"
  if stat.S_ISREG(status.st_mode):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"file {mode} {digest[:16]}"
  return f"{stat.S_IFMT(status.st_mode)} {mode}"


def changes(before: Snapshot, after: Snapshot) -> dict[str, str]:
  """Paths that are new, gone or changed, with which of these."""
  found = {}
  for path in sorted(before.keys() | after.keys()):
    if path not in after:
      found[path] = "gone"
    elif path not in before:
      found[path] = "new"
    elif before[path] != after[path]:
      found[path] = "changed"
  return found


def problems(
  case: case_lib.Case,
  outcome: case_lib.Outcome,
  changed: dict[str, str],
  clean_output: bytes | None,
) -> list[str]:
  """What a command did that it may not; empty if all is well."""
  if outcome.stopped:
    return [f"{outcome.stopped} after {outcome.seconds:.0f} s"]
  return [
    *_noise(outcome),
    *_exit(case, outcome),
    *_message(case, outcome),
    *_writing(case, outcome, changed),
    *_answer(case, outcome, clean_output),
  ]


def _noise(outcome: case_lib.Outcome) -> list[str]:
  text = outcome.stderr + outcome.stdout.decode(errors="replace")
  found = [f"prints {mark!r}" for mark in NOISE if mark in text]
  found += [f"prints {w!r}" for w in set(WARNING.findall(outcome.stderr))]
  if NATIVE_LOG.search(outcome.stderr):
    found.append("prints a library's log")
  return found


def _exit(case: case_lib.Case, outcome: case_lib.Outcome) -> list[str]:
  code = outcome.code
  if outcome.signalled:
    number = case.signal or 15
    allowed = (128 + number, -number, 0, REFUSAL, *case.codes)
  elif case.codes:
    allowed = case.codes
  elif case.expect == case_lib.REFUSED:
    allowed = (REFUSAL,)
  elif case.expect == case_lib.ACCEPTED:
    allowed = (0,)
  else:
    allowed = (0, REFUSAL)
  if code in allowed:
    return []
  return [f"exit code {code}, not {' or '.join(map(str, allowed))}"]


def _message(case: case_lib.Case, outcome: case_lib.Outcome) -> list[str]:
  if outcome.code != REFUSAL or case.stderr != "pipe":
    return []
  # tyro draws its errors in a box.
  errors = ERROR.findall(outcome.stderr)
  if not errors and "Parsing error" not in outcome.stderr:
    return ["exit code 2 without an error line"]
  found = []
  if len(errors) > 1:
    found.append(f"{len(errors)} error lines")
  if len("".join(errors)) > LONGEST_MESSAGE:
    found.append("an error of thousands of characters")
  if case.mentions and not any(m in outcome.stderr for m in case.mentions):
    found.append(f"names none of {case.mentions}")
  return found


def _writing(
  case: case_lib.Case, outcome: case_lib.Outcome, changed: dict[str, str]
) -> list[str]:
  allowed = list(case.scratch)
  if outcome.code != REFUSAL:
    allowed += case.may_change
  return [
    f"{path} is {how}"
    for path, how in changed.items()
    if not any(fnmatch.fnmatchcase(path, pattern) for pattern in allowed)
  ]


def _answer(
  case: case_lib.Case, outcome: case_lib.Outcome, clean_output: bytes | None
) -> list[str]:
  if clean_output is None or outcome.code or outcome.signalled:
    return []
  if "checkpoint" in outcome.stderr:
    return []  # it says that it goes by another one
  same = _timeless(outcome.stdout) == _timeless(clean_output)
  return [] if same else ["answers otherwise"]


def _timeless(output: bytes) -> bytes:
  """An output without the time that it took."""
  return re.sub(rb"(?m)^seconds: .*$", b"", output)


def judge(
  case: case_lib.Case,
  server,
  base: base_lib.Base,
  folder: pathlib.Path,
) -> case_lib.Outcome:
  """Runs a case in a new folder and finds what is wrong."""
  base.copy(case.needs, folder)
  clean = base.output(case.same_output) if case.same_output else None
  if case.spoil:
    case.spoil(folder)
  before = snapshot(folder)
  outcome = server.run(case, folder)
  changed = changes(before, snapshot(folder))
  base_lib.clear(folder)
  found = problems(case, outcome, changed, clean)
  return dataclasses.replace(outcome, problems=tuple(found))
