"""N-best lists as `decode` writes them, of a search that is made up."""

import json

import numpy as np

from seq2seq_jax.decoding import length_rules
from seq2seq_jax.inference import text

WORDS = ("a", "b", "c", "d", "e")


def weights(ctc=0.0, lm=0.0):
  return {"attention": 1 - ctc, "ctc": ctc, "lm": lm}


def lists(
  search, rule="none", alpha=0.0, *, count=20, size=6, seed=0, **line_keys
):
  """Lines of JSONL, and a reference for each.

  Every token has random log-probabilities under each part; hypotheses are
  ranked in 32 bits, as a search does.

  Args:
    search: the weight of each part.
    rule: length rule.
    alpha: of the rule.
    count: of lists.
    size: hypotheses of each.
    seed: of all that is random.
    line_keys: further keys of each line.
  """
  rng = np.random.default_rng(seed)
  lines, references = [], []
  for n in range(count):
    entries = []
    for _ in range(size):
      length = int(rng.integers(2, 9))
      tokens = {k: -rng.exponential(size=length) for k in search}
      steps = sum(w * tokens[k] for k, w in search.items())
      log_prob = np.float32(steps.sum())
      entries.append(
        text.Translation(
          text=" ".join(rng.choice(WORDS, size=length - 1)),
          tokens=["x"] * length,
          score=float(
            length_rules.RULES[rule](alpha, log_prob, np.float32(length))
          ),
          log_prob=float(log_prob),
          token_log_probs=steps.tolist(),
          finished=True,
        ).to_json()
        | {"parts": {k: float(np.float32(tokens[k].sum())) for k in search}}
      )
    entries.sort(key=lambda e: -e["score"])
    lines.append({"source": f"s-{n}", "hypotheses": entries} | line_keys)
    references.append(entries[int(rng.integers(size))]["text"])
  return lines, references


def write(path, lines):
  path.write_text("".join(json.dumps(line) + "\n" for line in lines))
  return path
