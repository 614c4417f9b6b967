"""The model card of an exported model: a README with what one must know."""

import pathlib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seq2seq_jax import config, records, types
from seq2seq_jax.checkpoints import run_record


class Scores(NamedTuple):
  """What `evaluate --json` wrote."""

  file: str
  values: Mapping[str, float]
  signatures: Mapping[str, str]
  sentences: int | None


class History(NamedTuple):
  """How a model came to be."""

  step: int
  best_step: Any
  best_score: Any
  record: run_record.RunRecord


def history(
  workdir: pathlib.Path, step: int, host: Mapping[str, Any]
) -> History:
  """How a run's model came to be.

  Args:
    workdir: of the run.
    step: of the checkpoint.
    host: decisions of the run.
  """
  record = run_record.read(workdir) or run_record.RunRecord()
  return History(step, host.get("best_step"), host.get("best_score"), record)


def read_scores(path: pathlib.Path) -> Scores:
  """The scores in a file of `evaluate --json`.

  Raises:
    types.UserError: it is none.
  """
  tree = records.read(path, dict[str, Any])
  values = {k: v for k, v in tree.items() if isinstance(v, float)}
  values.pop("seconds", None)
  if not values:
    raise types.UserError(
      f"{path}: holds no scores; give what evaluate --json wrote"
    )
  signature = tree.get("signature")
  signatures = signature if isinstance(signature, dict) else {}
  sentences = tree.get("sentences")
  count = sentences if isinstance(sentences, int) else None
  texts = {k: str(v) for k, v in signatures.items()}
  return Scores(path.name, values, texts, count)


def card(
  name: str,
  conf: config.Config,
  sizes: tuple[int | None, int],
  parameters: int,
  past: History,
  scores: Sequence[Scores],
  license_name: str,
) -> str:
  """The text of a README.md, with the fields that model hubs read on top.

  Args:
    name: of the folder.
    conf: of the run.
    sizes: of the vocabularies.
    parameters: numbers in all.
    past: see `history`.
    scores: to be shown.
    license_name: of the model.
  """
  license_name = " ".join(license_name.split()) or "unknown"
  plain = re.fullmatch(r"[A-Za-z0-9.+-]+", license_name) is not None
  told = license_name if plain else "other"
  parts = [
    f"---\nlicense: {told}\nlibrary_name: seq2seq_jax\ntags:\n- seq2seq\n---",
    f"# {name}",
    _model(conf, sizes, parameters),
    _data(conf, past.record),
    _scores(conf, past, scores),
    _training(past),
    _use(name),
    f"## Licence\n\n{license_name}",
  ]
  return "\n\n".join(parts) + "\n"


def _model(
  conf: config.Config, sizes: tuple[int | None, int], parameters: int
) -> str:
  model = conf.model
  encoder, decoder = model.encoder, model.decoder
  rows = {"parameters": f"{parameters:,}"}
  if conf.data.has_source():
    cell = f" {encoder.cell}, {encoder.layers} x {encoder.dim}"
    of = cell if encoder.kind == "rnn" else ""
    rows["encoder"] = f"{encoder.kind}{of}"
    rows["attention"] = model.attention.score
  cell = f" {model.cells()[1]}, {decoder.layers} x {decoder.dim}"
  rows["decoder"] = decoder.kind + (cell if decoder.kind == "rnn" else "")
  rows["head"] = model.head
  if sizes[0]:
    rows["source vocabulary"] = f"{sizes[0]:,} ({conf.data.source.tokenizer})"
  target = conf.data.source if conf.data.joint else conf.data.target
  rows["target vocabulary"] = f"{sizes[1]:,} ({target.tokenizer})"
  return "## Model\n\n" + _table(rows)


def _data(conf: config.Config, record: run_record.RunRecord) -> str:
  data = conf.data
  rows = {"task": data.task}
  if data.task in ("scan", "copy_rules", "tfds"):
    rows["set"] = data.name
  for split in ("train", "valid", "test"):
    files = ", ".join(f"`{name}`" for name in getattr(data, split))
    if checksum := record.data.get(split):
      files = f"{files} sha256 {checksum[:16]}".strip()
    if files:
      rows[split] = files
  return "## Data\n\n" + _table(rows)


def _scores(
  conf: config.Config, past: History, scores: Sequence[Scores]
) -> str:
  lines = ["## Scores", ""]
  if past.best_score is not None:
    lines += [
      f"Validation, step {past.best_step}: {conf.train.metric} "
      f"{past.best_score:.4f}",
      "",
    ]
  for one in scores:
    count = "" if one.sentences is None else f", {one.sentences:,} sentences"
    lines += [f"`{one.file}`{count}:", ""]
    lines += ["| metric | value | signature |", "|---|---|---|"]
    for name, value in one.values.items():
      signature = one.signatures.get(name, "").replace("|", "\\|")
      lines.append(f"| {name} | {value:.4f} | {signature} |")
    lines.append("")
  if len(lines) == 2:
    lines.append("None are stored; see `evaluate --json` and `--scores`.")
  return "\n".join(lines).rstrip()


def _training(past: History) -> str:
  record = past.record
  rows = {"step": f"{past.step:,}"}
  if record.git_commit:
    rows["seq2seq_jax"] = f"commit {record.git_commit}"
  for name in ("jax", "device"):
    if name in record.machine:
      rows[name] = str(record.machine[name])
  text = "## Training\n\n" + _table(rows)
  if record.command:
    text += f"\n\n```\n{shlex.join(record.command)}\n```"
  return text


def _use(name: str) -> str:
  here = shlex.quote(name)
  return (
    "## Use\n\n```\n"
    f"python -m seq2seq_jax.convert seq2seq_jax {here} --workdir run\n"
    "python -m seq2seq_jax.decode --workdir run --input FILE\n```"
  )


def _table(rows: Mapping[str, str]) -> str:
  lines = ["| | |", "|---|---|"]
  lines += [
    f"| {k} | {v.replace('|', chr(92) + '|')} |" for k, v in rows.items()
  ]
  return "\n".join(lines)
