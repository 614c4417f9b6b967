"""The commands at work on what is right, to be broken by one thing."""

from tests.monkey.case import Case

COMMANDS = {
  "train": ("copying.py", "--workdir", "new"),
  "decode": ("--workdir", "run", "--input", "data/test.de"),
  "evaluate": ("--workdir", "run"),
  "ablate": ("table.py", "--workdir", "table", "--seeds", "1", "--table-only"),
  "data.scan": ("simple", "test"),
  "data.copynet_rules": ("all", "train"),
  "analysis.alignment": ("aligned/out.jsonl", "--order", "copy"),
  "rescore": ("lists/n.jsonl", "--reference", "lists/ref.txt"),
  "export": ("--workdir", "run", "--out", "new"),
}
NEEDS = {
  "train": (),
  "decode": ("data", "run"),
  "evaluate": ("data", "run"),
  "ablate": ("table",),
  "data.scan": (),
  "data.copynet_rules": (),
  "analysis.alignment": ("aligned",),
  "rescore": ("lists",),
  "export": ("data", "run"),
}
WRITES = ("new", "new/*", "table/*", "other", "other/*")


def case(module: str, name: str, kind: str, *words: str, **more) -> Case:
  return Case(
    name=f"{module} {name}",
    kind=kind,
    module=module,
    words=(*COMMANDS[module], *words),
    needs=NEEDS[module],
    may_change=WRITES,
    **more,
  )
