"""Format `g2p_en`: the letters-to-phones model of the package g2p-en.

A GRU encoder of one direction; a GRU decoder that starts from its last state,
without attention; the state straight into the softmax. The archive
(checkpoint20.npz) has PyTorch's layout: gates r, z, n, two biases. Its symbols
stand in the package's code, and here.
"""

import pathlib
from typing import Any

import numpy as np

from seq2seq_jax import archives, config
from seq2seq_jax.interchange import formats, imported, word_lists

LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
_ARPABET = """
AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D
DH EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N
NG OW0 OW1 OW2 OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH
"""
PHONES = ("<pad>", "<unk>", "<s>", "</s>", *_ARPABET.split())
STEPS = 20  # the package's longest output, the end not counted


def read(path: pathlib.Path, options: formats.Options) -> imported.Imported:
  """The model of an archive.

  Raises:
    types.UserError: it is none, or its arrays have other shapes.
  """
  del options
  t = imported.Transfer(archives.read(path), path)
  embed = t.take("enc_emb", len(LETTERS), None).shape[1]
  width = t.take("enc_w_hh", None, None).shape[1]
  source = _order(LETTERS)
  target = _order(PHONES)
  how = "rows in our order"
  t.put(
    "encoder/embed/table/table",
    word_lists.rows(t.take("enc_emb"), source),
    "enc_emb",
    how=how,
  )
  table = word_lists.rows(t.take("dec_emb", len(PHONES), embed), target)
  t.put("decoder/embed_table/table", table, "dec_emb", how=how)
  _cell(t, "enc", "encoder/forward_0", embed, width)
  _cell(t, "dec", "decoder/layer_0", embed, width)
  kernel = word_lists.rows(t.take("fc_w", len(PHONES), width), target).T
  how = f"transposed, {how}"
  t.put("decoder/head/kernel", kernel, "fc_w", how=how)
  bias = word_lists.rows(t.take("fc_b", len(PHONES)), target)
  t.put("decoder/head/bias", bias, "fc_b", how="rows in our order")
  letters = word_lists.tokenizer(
    _texts(LETTERS, source), kind="char", lowercase=True
  )
  vocabularies, data = word_lists.both(
    letters, word_lists.tokenizer(_texts(PHONES, target))
  )
  conf = imported.config_of(_config(embed, width), data)
  # As the package searches: the best phone at each step, and no length rule.
  decode: dict[str, Any] = {
    "decode.beam_size": 1,
    "decode.length_rule": "none",
    "decode.max_ratio": 0.0,
    "decode.max_extra": STEPS,
  }
  notes = [
    "g2p-en is licensed under Apache-2.0; its model learnt from CMUdict",
    "a source is one word in letters a to z, an output its phones",
  ]
  return t.result(config.replace(conf, decode), vocabularies, notes=notes)


def _order(symbols: tuple[str, ...]) -> word_lists.Order:
  places = {symbol: i for i, symbol in enumerate(symbols)}
  specials = [places.get(s) for s in ("<pad>", "<s>", "</s>", "<unk>")]
  return word_lists.order(len(symbols), specials)


def _texts(symbols: tuple[str, ...], ours: word_lists.Order) -> list[str]:
  return [symbols[row] for row in ours[4:] if row is not None]


def _cell(
  t: imported.Transfer, side: str, path: str, inputs: int, width: int
) -> None:
  """A GRU of PyTorch: the biases of r and z are added, n has both."""
  size = 3 * width
  t.put(
    f"{path}/kernel",
    t.take(f"{side}_w_ih", size, inputs).T,
    f"{side}_w_ih",
    how="transposed",
  )
  t.put(
    f"{path}/recurrent",
    t.take(f"{side}_w_hh", size, width).T,
    f"{side}_w_hh",
    how="transposed",
  )
  first, second = f"{side}_b_ih", f"{side}_b_hh"
  bias, recurrent = t.take(first, size), t.take(second, size)
  gates = bias[: 2 * width] + recurrent[: 2 * width]
  both = np.concatenate([gates, bias[2 * width :]])
  t.put(
    f"{path}/bias", both, first, second, how="r and z added, n of the first"
  )
  t.put(f"{path}/bias_hn", recurrent[2 * width :], second, how="n")


def _config(embed: int, width: int) -> config.Model:
  return config.Model(
    embed_dim=embed,
    encoder=config.Encoder(cell="gru", dim=width, direction="forward"),
    decoder=config.Decoder(dim=width, bridge="last", input_feeding=False),
    attention=config.Attention(score="none"),
    readout=config.Readout(kind="linear", inputs="state"),
  )
