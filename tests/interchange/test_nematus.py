"""Models of Nematus: equal to its equations, written out in NumPy."""

import json

import numpy as np
import pytest

from seq2seq_jax import convert, types
from seq2seq_jax.inference import model as model_lib
from tests.helpers import imported_models

E, H, VS, VT, R = 5, 6, 13, 17, 4
SPECIALS = (None, None, 0, 1)  # pad, BOS, EOS, unknown there
SOURCES = [[3, 9, 2, 12, 1, 7], [5, 4], [11]]  # without the end


def drawn(seed=0, tied=False, marian=False):
  """The arrays of a model."""
  rng, c = np.random.default_rng(seed), 2 * H
  r = E if tied else R
  shapes = {"Wemb": (VS, E), "Wemb_dec": (VT, E)}
  for p in ("encoder_", "encoder_r_", "decoder_"):
    shapes |= {p + "W": (E, 2 * H), p + "b": (2 * H,), p + "U": (H, 2 * H)}
    shapes |= {p + "Wx": (E, H), p + "bx": (H,), p + "Ux": (H, H)}
  p = "decoder_"
  shapes |= {p + "U_nl": (H, 2 * H), p + "b_nl": (2 * H,), p + "Wc": (c, 2 * H)}
  shapes |= {p + "Ux_nl": (H, H), p + "bx_nl": (H,), p + "Wcx": (c, H)}
  shapes |= {p + "W_comb_att": (H, 9), p + "Wc_att": (c, 9), p + "b_att": (9,)}
  shapes |= {p + "U_att": (9, 1), p + "c_tt": (1,)}
  shapes |= {"ff_state_W": (c, H), "ff_state_b": (H,)}
  for part, width in (("lstm", H), ("prev", E), ("ctx", c)):
    shapes |= {f"ff_logit_{part}_W": (width, r), f"ff_logit_{part}_b": (r,)}
  shapes |= {"ff_logit_W": (r, VT), "ff_logit_b": (VT,)}
  if tied:
    del shapes["ff_logit_W"]
  arrays = {k: rng.normal(0, 0.5, s).astype("f4") for k, s in shapes.items()}
  if marian:
    arrays = {k: v[None] if v.ndim == 1 else v for k, v in arrays.items()} | {
      "decoder_c_tt": np.zeros((0,), "f4")
    }
    text = b"type: nematus\nversion: v1\n\0"
    arrays["special:model.yml"] = np.frombuffer(text, np.int8)
  return arrays


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


class Reference:
  """Sennrich et al. 2017 (Nematus), section 2, in float64."""

  def __init__(self, arrays):
    self.p = {k: np.asarray(v, np.float64) for k, v in arrays.items()}
    self.p = {
      k: v[0] if v.ndim == 2 and len(v) == 1 and "b" in k else v
      for k, v in self.p.items()
    }

  def gru(self, h, x, w, u, b, wx, ux, bx):
    gates = sigmoid(x @ self.p[w] + h @ self.p[u] + self.p[b])
    r, keep = gates[:H], gates[H:]
    if bx.endswith("_nl"):  # the second cell's bias is inside of the reset
      new = np.tanh((h @ self.p[ux] + self.p[bx]) * r + x @ self.p[wx])
    else:
      new = np.tanh(h @ self.p[ux] * r + x @ self.p[wx] + self.p[bx])
    return keep * h + (1 - keep) * new

  def encode(self, source):
    xs = self.p["Wemb"][[*source, 0]]
    directions = []
    for p, order in (("encoder_", 1), ("encoder_r_", -1)):
      h, out = np.zeros(H), []
      for x in xs[::order]:
        names = [p + n for n in ("W", "U", "b", "Wx", "Ux", "bx")]
        h = self.gru(h, x, *names)
        out.append(h)
      directions.append(np.array(out)[::order])
    return np.concatenate(directions, 1)

  def start(self, context):
    mean = context.mean(0) @ self.p["ff_state_W"] + self.p["ff_state_b"]
    return np.tanh(mean)

  def step(self, context, state, word):
    """(state, log P, attention); word None: the first step."""
    p, d = self.p, "decoder_"
    y = np.zeros(E) if word is None else p["Wemb_dec"][word]
    names = [d + n for n in ("W", "U", "b", "Wx", "Ux", "bx")]
    state = self.gru(state, y, *names)
    hidden = context @ p[d + "Wc_att"] + p[d + "b_att"]
    hidden = np.tanh(hidden + state @ p[d + "W_comb_att"])
    energy = np.exp(hidden @ p[d + "U_att"][:, 0])
    weights = energy / energy.sum()
    c = weights @ context
    names = [d + n for n in ("Wc", "U_nl", "b_nl", "Wcx", "Ux_nl", "bx_nl")]
    state = self.gru(state, c, *names)
    read = sum(
      x @ p[f"ff_logit_{part}_W"] + p[f"ff_logit_{part}_b"]
      for part, x in (("lstm", state), ("prev", y), ("ctx", c))
    )
    matrix = p["ff_logit_W"] if "ff_logit_W" in p else p["Wemb_dec"].T
    logits = np.tanh(read) @ matrix + p["ff_logit_b"]
    return state, imported_models.log_softmax(logits), weights

  def forced(self, source, target):
    """log P [T, V] with the words of a target fed."""
    context = self.encode(source)
    state, out, attention = self.start(context), [], []
    for word in [None, *target[:-1]]:
      state, log_probs, weights = self.step(context, state, word)
      out.append(log_probs)
      attention.append(weights)
    return np.array(out), np.array(attention)

  def greedy(self, source, most):
    """(words, log P) of the best word at each step."""
    context = self.encode(source)
    state, word, words, total = self.start(context), None, [], 0.0
    while word != 0 and len(words) < most:
      state, log_probs, _ = self.step(context, state, word)
      word = int(log_probs.argmax())
      total += log_probs[word]
      words.append(word)
    return words, total


def write(folder, arrays, **settings):
  """An archive with its dictionaries."""
  np.savez(folder / "model.npz", **arrays)
  for name, size in (("s", VS), ("t", VT)):
    words = {"eos": 0, "UNK": 1} | {f"{name}{i}": i for i in range(2, size)}
    (folder / f"{name}.json").write_text(json.dumps(words))
  settings = {"dictionaries": ["/far/s.json", "/far/t.json"]} | settings
  (folder / "model.npz.json").write_text(json.dumps(settings))
  return str(folder / "model.npz")


def converted(folder, arrays, *more):
  path, workdir = write(folder, arrays), folder / "w"
  assert convert.main(["nematus", path, "--workdir", str(workdir), *more]) == 0
  return workdir


def check(workdir, arrays):
  """All distributions, at once and stepped, against the equations."""
  reference = Reference(arrays)
  rng = np.random.default_rng(1)
  targets = [rng.integers(0, VT, 5).tolist() for _ in SOURCES]
  order = imported_models.ours(range(VT), SPECIALS)
  source_order = imported_models.ours(range(VS), SPECIALS)
  found, stepped, attention = imported_models.distributions(
    workdir,
    [[source_order[i] for i in [*source, 0]] for source in SOURCES],
    [[types.BOS, *(order[i] for i in target[:-1])] for target in targets],
  )
  for n, (source, target) in enumerate(zip(SOURCES, targets)):
    expected, weights = reference.forced(source, target)
    np.testing.assert_allclose(found[n][:, order], expected, atol=1e-5)
    np.testing.assert_allclose(stepped[n][:, order], expected, atol=1e-5)
    size = len(source) + 1
    np.testing.assert_allclose(attention[n][:, :size], weights, atol=1e-6)
  # Neither pad nor BOS has a share.
  assert (found[..., : types.EOS] < -1e8).all()


def test_the_equations(tmp_path):
  arrays = drawn()
  workdir = converted(tmp_path, arrays)
  check(workdir, arrays)
  texts = [" ".join(f"s{i}" for i in source) for source in SOURCES]
  texts = [text.replace("s1 ", "never ") for text in texts]
  reference = Reference(arrays)
  outputs = model_lib.load(workdir).translate(
    texts, beam_size=1, scores=True, max_ratio=0.0, max_extra=9
  )
  for source, output in zip(SOURCES, outputs):
    words, total = reference.greedy(source, 9)
    spelled = [f"t{i}" if i > 1 else "<unk>" for i in words if i]
    assert output.text == " ".join(spelled)
    assert output.log_prob == pytest.approx(total, abs=2e-5)


def test_the_fixture(tmp_path):
  path = imported_models.FIXTURES / "nematus.npz"
  if not path.is_file():
    pytest.skip("no fixture")
  arrays = dict(np.load(path))
  check(converted(tmp_path, arrays), arrays)


def test_marian_s_archive_and_dictionaries(tmp_path):
  arrays = drawn(marian=True)
  path = write(tmp_path, arrays)
  (tmp_path / "model.npz.json").unlink()
  for name, size in (("s", VS), ("t", VT)):
    (tmp_path / f"{name}.json").unlink()
    words = [f"{name}{i}: {i}" for i in range(2, size)]
    lines = ['"</s>": 0', "<unk>: 1", *words]
    (tmp_path / f"{name}.yml").write_text("\n".join(lines) + "\n")
  with pytest.raises(types.UserError, match="give it with --source-vocab"):
    convert.main(["nematus", path, "--workdir", str(tmp_path / "w")])
  (tmp_path / "model.npz.yml").write_text("vocabs:\n  - s.yml\n  - t.yml\n")
  assert convert.main(["nematus", path, "--workdir", str(tmp_path / "w")]) == 0
  check(tmp_path / "w", arrays)


def test_the_softmax_shares_the_target_s_table(tmp_path):
  arrays = drawn(tied=True)
  check(converted(tmp_path, arrays), arrays)


def test_one_table_for_all(tmp_path):
  arrays = drawn(tied=True)
  table = arrays.pop("Wemb_dec")
  path = write(tmp_path, arrays | {"Wemb": table})
  words = ["nematus", path, "--workdir", str(tmp_path / "w")]
  with pytest.raises(types.UserError, match="one table for both sides, but"):
    convert.main(words)
  target = str(tmp_path / "t.json")
  more = ["--source-vocab", target, "--target-vocab", target]
  assert convert.main([*words, *more]) == 0
  check(tmp_path / "w", arrays | {"Wemb": table, "Wemb_dec": table})


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"encoder_U_drt_1": (H, 2 * H)}, r"a deep transition .*encoder_U_drt_1"),
    ({"encoder_U_lns": (H,)}, "a layer normalisation of both gates together"),
    ({"encoder_2_W": (H, H)}, "has no use for: encoder_2_W"),
    ({"decoder_Wcx": (H, H)}, r"decoder_Wcx must have the shape \[12, 6\]"),
    ({"ff_state_W": None}, "has no array ff_state_W"),
    ({"decoder_U": None}, "has no array decoder_U"),
    ({"ff_logit_b": (VT + 1,)}, r"ff_logit_b must have the shape \[17\]"),
  ],
  ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_arrays_that_cannot_be(change, message, tmp_path):
  arrays = drawn()
  for name, shape in change.items():
    if shape is None:
      del arrays[name]
    else:
      arrays[name] = np.ones(shape, "f4")
  path = write(tmp_path, arrays)
  with pytest.raises(types.UserError, match=message) as e:
    convert.main(["nematus", path, "--workdir", str(tmp_path / "w")])
  assert str(e.value).startswith(path)
  assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("s.json", '{"eos": 1, "UNK": 0, "a": 2}', "eos has the id 1, not 0"),
    ("s.json", '["eos"]', r"s\.json"),
    ("s.json", "{}", "has no words for this model's rows"),
    ("model.npz.json", '{"dictionaries": ["x", "t.json"]}', "no .*x.; give"),
    ("model.npz.json", '{"use_dropout": true}', "trained with use_dropout"),
  ],
)
def test_dictionaries_and_settings_that_cannot_be(
  name, content, message, tmp_path
):
  path = write(tmp_path, drawn())
  (tmp_path / name).write_text(content)
  with pytest.raises(types.UserError, match=message):
    convert.main(["nematus", path, "--workdir", str(tmp_path / "w")])


def test_another_type_of_marian(tmp_path):
  arrays = drawn(marian=True)
  text = b"type: transformer\n"
  arrays["special:model.yml"] = np.frombuffer(text, np.int8)
  path = write(tmp_path, arrays)
  with pytest.raises(types.UserError, match="Marian's type transformer; only"):
    convert.main(["nematus", path, "--workdir", str(tmp_path / "w")])
