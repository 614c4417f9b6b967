"""The model of g2p-en: the outputs of its own code, written in NumPy."""

import importlib.util
import pathlib

import numpy as np
import pytest

from seq2seq_jax import convert, types
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.interchange import g2p_en
from tests.helpers import imported_models

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = "activationist recurrent seq xylophone o'clock naive zzz a google"


def drawn(width=6, embed=5):
  rng = np.random.default_rng(3)
  shapes = {"enc_emb": (29, embed), "dec_emb": (74, embed)}
  for side in ("enc", "dec"):
    shapes |= {f"{side}_w_ih": (3 * width, embed), f"{side}_b_ih": (3 * width,)}
    shapes |= {f"{side}_w_hh": (3 * width, width), f"{side}_b_hh": (3 * width,)}
  shapes |= {"fc_w": (74, width), "fc_b": (74,)}
  return {k: rng.normal(0, 1, s).astype("f4") for k, s in shapes.items()}


class Reference:
  """`G2p.predict`, in float64."""

  def __init__(self, arrays):
    self.z = {k: np.asarray(v, np.float64) for k, v in arrays.items()}

  def cell(self, x, h, side):
    z, n = self.z, h.shape[-1]
    a = x @ z[f"{side}_w_ih"].T + z[f"{side}_b_ih"]
    b = h @ z[f"{side}_w_hh"].T + z[f"{side}_b_hh"]
    r, u = np.split(1 / (1 + np.exp(-(a + b)[: 2 * n])), 2)
    return (1 - u) * np.tanh(a[2 * n :] + r * b[2 * n :]) + u * h

  def predict(self, word):
    """Phones, and their log P with that of the end."""
    letters, h = g2p_en.LETTERS, np.zeros(self.z["fc_w"].shape[1])
    for letter in [*word, "</s>"]:
      row = letters.index(letter) if letter in letters else 1
      h = self.cell(self.z["enc_emb"][row], h, "enc")
    out, phone, total = [], 2, 0.0
    for _ in range(20):
      h = self.cell(self.z["dec_emb"][phone], h, "dec")
      log_probs = imported_models.log_softmax(
        h @ self.z["fc_w"].T + self.z["fc_b"]
      )
      phone = int(log_probs.argmax())
      total += log_probs[phone]
      if phone == 3:
        break
      out.append(g2p_en.PHONES[phone])
    return out, total


def check(path, arrays, words, folder):
  """How many of the words have the reference's output."""
  workdir = folder / "w"
  assert convert.main(["g2p_en", str(path), "--workdir", str(workdir)]) == 0
  reference, same = Reference(arrays), 0
  outputs = model_lib.load(workdir).translate(words, scores=True)
  for word, output in zip(words, outputs):
    phones, total = reference.predict(word.lower())
    same += output.text.split() == phones
    if output.text.split() == phones:
      assert output.log_prob == pytest.approx(total, abs=1e-4)
  return same


def test_symbols_are_those_of_the_package():
  assert len(g2p_en.LETTERS) == 29 and len(g2p_en.PHONES) == 74
  assert len(set(g2p_en.PHONES)) == 74
  assert list(g2p_en.PHONES[4:]) == sorted(g2p_en.PHONES[4:])


def test_drawn_arrays(tmp_path, capsys):
  arrays = drawn()
  np.savez(tmp_path / "x.npz", **arrays)
  words = [*WORDS.split(), "Jax"]
  assert check(tmp_path / "x.npz", arrays, words, tmp_path) == len(words)
  assert "note: g2p-en is licensed under Apache-2.0" in capsys.readouterr().out
  del arrays["fc_b"]
  np.savez(tmp_path / "x.npz", **arrays)
  words = ["g2p_en", str(tmp_path / "x.npz"), "--workdir", str(tmp_path / "v")]
  with pytest.raises(types.UserError, match="has no array fc_b"):
    convert.main(words)
  np.savez(tmp_path / "x.npz", **drawn() | {"fc_b": np.ones(73, "f4")})
  with pytest.raises(types.UserError, match=r"fc_b must have the shape \[74\]"):
    convert.main(words)


def test_the_real_model(tmp_path):
  """200 of 200 outputs are those of the package's own code."""
  spec = importlib.util.find_spec("g2p_en")  # imports nothing of it
  if spec is None or not spec.submodule_search_locations:
    pytest.skip("the package g2p-en is not installed")
  folder = pathlib.Path(spec.submodule_search_locations[0])
  path = folder / "checkpoint20.npz"
  rng, words = np.random.default_rng(0), WORDS.split()
  while len(words) < 200:
    letters = rng.choice(list(LETTERS), rng.integers(2, 12))
    words.append("".join(letters))
  assert check(path, dict(np.load(path)), words, tmp_path) == 200
