"""SCAN equals a slow interpreter, the published counts and the files."""

import collections
import gzip
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import corpus, scan

ROOT = pathlib.Path(__file__).parents[2]
COUNTS = {
  "simple": (16728, 4182),
  "simple_p1": (209, 20701),
  "simple_p2": (418, 20492),
  "simple_p4": (836, 20074),
  "simple_p8": (1672, 19238),
  "simple_p16": (3345, 17565),
  "simple_p32": (6691, 14219),
  "simple_p64": (13382, 7528),
  "length": (16990, 3920),
  "addprim_jump": (14670, 7706),
  "addprim_turn_left": (21890, 1208),
  "addprim_jump_8": (14670, 7698),
  "addprim_jump_16": (14670, 7690),
  "addprim_jump_32": (14670, 7674),
  "template_jump_around_right": (18528, 1173),
  "template_right": (15225, 4476),
  "template_opposite_right": (15225, 4476),
  "template_around_right": (15225, 4476),
}


def _meaning(words: list[str]) -> list[str]:
  """The interpretation function of the paper's figure 7, word by word."""
  if "and" in words:
    i = words.index("and")
    return _meaning(words[:i]) + _meaning(words[i + 1 :])
  if "after" in words:
    i = words.index("after")
    return _meaning(words[i + 1 :]) + _meaning(words[:i])
  if words[-1] in ("twice", "thrice"):
    return _meaning(words[:-1]) * {"twice": 2, "thrice": 3}[words[-1]]
  if words[-1] in ("left", "right"):
    turn = ["I_TURN_" + words[-1].upper()]
    act = [] if words[0] == "turn" else _meaning(words[:1])
    if words[1] == "opposite":
      return turn + turn + act
    if words[1] == "around":
      return turn + act + turn + act + turn + act + turn + act
    return turn + act
  (verb,) = words
  return [f"I_{verb.upper()}"]


def _run(*args, **kwargs):
  return subprocess.run(
    [sys.executable, "-m", "seq2seq_jax.data.scan", *args],
    capture_output=True,
    text=True,
    cwd=ROOT,
    **kwargs,
  )


@pytest.mark.quick
def test_every_command_means_what_the_slow_interpreter_says():
  commands = scan.commands()
  assert len(commands) == len(dict(commands)) == 20910
  for command, actions in commands:
    assert actions.split() == _meaning(command.split()), command


@pytest.mark.quick
def test_commands_are_the_language_of_the_grammar():
  # Enumerated from the productions C -> S and S ... of the paper's figure 6.
  verbs = ["walk", "look", "run", "jump"]
  d = [f"{u} {s}" for u in [*verbs, "turn"] for s in ("left", "right")]
  v = [x.replace(" ", w) for x in d for w in (" opposite ", " around ")]
  s = [x + r for x in v + d + verbs for r in ("", " twice", " thrice")]
  c = s + [f"{x} {w} {y}" for x in s for w in ("and", "after") for y in s]
  assert set(c) == {command for command, _ in scan.commands()}


@pytest.mark.quick
@pytest.mark.parametrize("split", COUNTS)
def test_counts(split):
  train, test = scan.pairs(split, "train"), scan.pairs(split, "test")
  assert (len(train), len(test)) == COUNTS[split]
  assert not set(train) & set(test)
  assert set(train) | set(test) <= set(scan.commands())


@pytest.mark.quick
def test_all_names_are_tested():
  assert tuple(COUNTS) == scan.SPLITS


@pytest.mark.parametrize("split", [s for s in COUNTS if "simple" in s])
def test_random_splits_are_fixed_and_cover_everything(split):
  both = scan.pairs(split, "train") + scan.pairs(split, "test")
  assert collections.Counter(both) == collections.Counter(scan.commands())
  assert scan.pairs(split, "train") == scan.pairs(split, "train")
  assert scan.pairs(split, "train") != sorted(scan.pairs(split, "train"))


@pytest.mark.quick
def test_length_divides_at_22_actions():
  def lengths(part):
    return {len(a.split()) for _, a in scan.pairs("length", part)}

  assert max(lengths("train")) == 22
  assert min(lengths("test")) == 24


@pytest.mark.quick
@pytest.mark.parametrize(
  "split,primitive,times",
  [("addprim_jump", "jump", 1467), ("addprim_turn_left", "turn left", 2189)],
)
def test_added_primitive_is_trained_alone(split, primitive, times):
  train, test = scan.pairs(split, "train"), scan.pairs(split, "test")

  def inside(c):
    return f" {primitive} " in f" {c} "

  assert [c for c, _ in train if inside(c)] == [primitive] * times
  assert {c for c, _ in test} == {
    c for c, _ in scan.commands() if inside(c) and c != primitive
  }


@pytest.mark.quick
@pytest.mark.parametrize("k", scan.EXAMPLES)
def test_composed_examples_share_the_primitive_s_lines(k):
  alone, some = (
    collections.Counter(scan.pairs(split, "train"))
    for split in ("addprim_jump", f"addprim_jump_{k}")
  )
  jumps = {p: n for p, n in some.items() if "jump" in p[0].split()}
  assert sum(jumps.values()) == 1467 and len(jumps) == k + 1
  assert max(jumps.values()) - min(jumps.values()) <= k
  whole = scan.pairs("addprim_jump", "test")
  examples = {p for p in jumps if p[0] != "jump"}
  left = [p for p in whole if p not in examples]
  assert scan.pairs(f"addprim_jump_{k}", "test") == left

  def others(c):
    return {p: n for p, n in c.items() if "jump" not in p[0].split()}

  assert others(some) == others(alone)


@pytest.mark.quick
@pytest.mark.parametrize(
  "split,verbs,template",
  [
    ("template_jump_around_right", ("jump",), "around right"),
    ("template_right", ("walk", "look", "run", "jump"), "right"),
    (
      "template_opposite_right",
      ("walk", "look", "run", "jump"),
      "opposite right",
    ),
    ("template_around_right", ("walk", "look", "run", "jump"), "around right"),
  ],
)
def test_templates_are_held_out(split, verbs, template):
  train = {c for c, _ in scan.pairs(split, "train")}
  test = {c for c, _ in scan.pairs(split, "test")}
  for command, _ in scan.commands():
    words = command.split()
    n = len(template.split()) + 1
    spans = {" ".join(words[i : i + n]) for i in range(len(words))}
    if f"turn {template}" in spans:
      assert command not in train | test
    elif spans & {f"{v} {template}" for v in verbs}:
      assert command in test and command not in train
    else:
      assert command in train and command not in test


def _official(split: str, part: str) -> list[str]:
  root = os.environ.get("SEQ2SEQ_JAX_DATA") or ROOT.parent / "shared" / "data"
  path = pathlib.Path(root) / "scan" / f"{split}.{part}.tsv.gz"
  if not path.exists():
    pytest.skip(f"scan not found at {path}")
  with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
    return f.read().splitlines()


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
  "split", ["length", "addprim_jump", "addprim_turn_left"]
)
def test_deterministic_splits_equal_the_official_files(split, part):
  ours = collections.Counter("\t".join(p) for p in scan.pairs(split, part))
  assert ours == collections.Counter(_official(split, part))


@pytest.mark.parametrize("split", [s for s in COUNTS if "simple" in s])
def test_random_splits_have_the_official_sizes(split):
  for part in ("train", "test"):
    assert len(scan.pairs(split, part)) == len(_official(split, part))


@pytest.mark.quick
def test_an_unknown_split_names_the_nearest():
  with pytest.raises(types.UserError, match=r"'simple_p3'.*simple_p32"):
    scan.pairs("simple_p3", "train")
  with pytest.raises(types.UserError, match="train and test, not 'valid'"):
    scan.pairs("simple", "valid")


@pytest.mark.quick
def test_the_command_line_prints_tsv():
  began = time.monotonic()
  done = _run("addprim_jump", "test")
  assert time.monotonic() - began < 5  # a loaded machine included
  lines = done.stdout.split("\n")
  assert lines.pop() == ""
  assert [tuple(x.split("\t")) for x in lines] == scan.pairs(
    "addprim_jump", "test"
  )
  assert done.returncode == 0 and done.stderr == ""


@pytest.mark.quick
@pytest.mark.parametrize(
  "args,said",
  [
    (("lenght", "train"), "length"),
    (("length", "dev"), "train and test"),
    (("length",), "error: 1 words were given; give SPLIT and one of"),
    ((), "usage"),
  ],
)
def test_bad_usage_exits_with_2(args, said):
  done = _run(*args)
  assert done.returncode == 2 and done.stdout == ""
  assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.quick
def test_help_is_no_error():
  done = _run("--help")
  assert done.returncode == 0
  assert all(split in done.stdout for split in scan.SPLITS)


def test_a_closed_pipe_ends_it_without_a_word():
  with subprocess.Popen(
    [sys.executable, "-m", "seq2seq_jax.data.scan", "simple", "train"],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    cwd=ROOT,
  ) as p:
    first = list(itertools.islice(p.stdout, 2))
    p.stdout.close()
    said = p.stderr.read()
    assert p.wait(60) == 128 + signal.SIGPIPE
  assert len(first) == 2 and said == b""


@pytest.mark.quick
def test_what_differs_from_the_published_files_is_said(caplog):
  caplog.set_level("INFO", "seq2seq_jax")
  for split in scan.SPLITS:
    corpus.open_split(config.Data(task="scan", name=split), "train")
    note = scan.note(split)
    said = [record.message for record in caplog.records]
    assert said == ([note] if note else [])
    caplog.clear()
  assert "14,670 lines, the published files have 14,665 or 14,655" in (
    scan.note("addprim_jump_8")
  )
  assert scan.note("addprim_jump") is None and scan.note("length") is None
