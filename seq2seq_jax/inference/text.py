"""From source texts to answers as text and JSON."""

import json

import numpy as np

from seq2seq_jax import config
from seq2seq_jax.inference import translator as translation


def text_of(
  hypothesis, vocabularies, n: int = 0, source=None, replace=False
) -> str:
  """The n-th best output as text.

  Args:
    hypothesis: of one source.
    vocabularies: of the run.
    n: which of the hypotheses.
    source: the source's text, where the model copies or words are replaced.
    replace: put the source word most attended to for unknown words.
  """
  length = int(hypothesis.length[n])
  attended = None
  if replace and hypothesis.attention is not None:
    attended = np.argmax(hypothesis.attention[n, :length], axis=-1)
  return vocabularies.target_text(
    hypothesis.tokens[n, :length], source, attended
  )


class Reader:
  """From source texts to searches' answers and their texts."""

  def __init__(self, translator, vocabularies, conf: config.Config):
    self.translator, self.vocabularies = translator, vocabularies
    self.replace = conf.decode.replace_unknown
    self.group = 2**conf.model.encoder.reductions

  def search(
    self,
    params,
    texts: list[str],
    options: translation.Options,
    done=None,
    made=lambda text, hypothesis: hypothesis,
    lengths=None,
  ):
    """What is `made` of every source text and its hypotheses, in order.

    `lengths` are the tokens that outputs shall have, if that is given.
    """
    sources = [self.vocabularies.source.encode(text) for text in texts]
    if self.replace:
      options = options._replace(attention=True)
    every = lambda i, hypothesis: made(texts[i], hypothesis)
    return self.translator.search(
      params, sources, options, done, every, lengths
    )

  def positions(self, source: str) -> list[str]:
    """What stands at each position that is attended to.

    A token, or those that a pyramidal encoder makes one position of.
    """
    tokens = self.vocabularies.source.show(source)
    size = self.group
    return [" ".join(tokens[i : i + size]) for i in range(0, len(tokens), size)]

  def text(self, source: str, hypothesis, n: int = 0) -> str:
    return text_of(hypothesis, self.vocabularies, n, source, self.replace)


def describe(source: str, hypothesis, reader: Reader, attention: bool) -> dict:
  """A line of JSONL output."""
  entries, vocabularies = [], reader.vocabularies
  positions = reader.positions(source) if attention else ()
  for n in range(len(hypothesis.score)):
    length = int(hypothesis.length[n])
    if not length:
      continue
    ids = hypothesis.tokens[n, :length]
    entry = {
      "text": reader.text(source, hypothesis, n),
      "tokens": vocabularies.target_tokens(ids, source),
      "score": float(hypothesis.score[n]),
      "log_prob": float(hypothesis.log_prob[n]),
      "token_log_probs": [
        float(p) for p in hypothesis.token_log_probs[n, :length]
      ],
      "finished": bool(hypothesis.finished[n]),
    }
    if attention and hypothesis.attention is not None:
      weights = hypothesis.attention[n, :length, : len(positions)]
      entry["attention"] = [[float(w) for w in row] for row in weights]
    entries.append(entry)
  shown = vocabularies.source.text(source)
  line = {"source": shown, "hypotheses": entries}
  if attention:
    line["source_tokens"] = positions
  if hypothesis.proven is not None:
    line["proven"] = bool(hypothesis.proven)
  return line


def lines(texts: list[str], n: int) -> str:
  """Answers to one source as `n` lines, blank where there are fewer.

  An output is a line, as its source was: line feeds become blanks.
  """
  clean = [t.replace("\r", " ").replace("\n", " ") for t in texts]
  return "".join(f"{t}\n" for t in clean + [""] * (n - len(clean)))


def blank(source: str, form: str, n: int) -> str:
  """The answer to a source without words, as `text` or `jsonl`."""
  if form == "text":
    return lines([], n)
  return json.dumps({"source": source, "hypotheses": []}) + "\n"
