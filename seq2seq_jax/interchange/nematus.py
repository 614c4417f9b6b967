"""Format `nematus`: models of Nematus, and of Marian's `--type nematus`.

A GRU encoder of two directions and a decoder of two cells with an additive
attention between them (Sennrich et al. 2017), in an .npz with JSON dictionaries
(Marian: YAML). Both cells reset behind the recurrent product, as our `gru`
does. The first cell's bias stands outside of the reset, that of the second, the
one behind the attention, inside: our `bias` and `bias_hn`.
"""

import pathlib
from typing import Any

import numpy as np
import yaml

from seq2seq_jax import archives, config, records, types
from seq2seq_jax.data import tokenizers
from seq2seq_jax.interchange import formats, imported, word_lists

EOS, UNK = 0, 1
_MARIAN = "special:model.yml"
_NOT_OURS = {
  "_drt_": "a deep transition (several cells a step)",
  "_lns": "a layer normalisation of both gates together",
  "_lnb": "a layer normalisation of both gates together",
  "W_comb_att_": "several attentions",
  "Wemb0": "factors of the source",
}


def read(path: pathlib.Path, options: formats.Options) -> imported.Imported:
  """The model of an archive.

  Args:
    path: of the archive.
    options: `source_vocab`, `target_vocab`, by default what PATH.json (or
      Marian's PATH.yml) names; `config` in place of that file.

  Raises:
    types.UserError: a file is missing or is none, or the model has what ours
      cannot have.
  """
  arrays = archives.read(path)
  if _MARIAN in arrays:
    _check_marian(path, arrays[_MARIAN])
  for name in arrays:
    for part, words in _NOT_OURS.items():
      if part in name:
        raise types.UserError(
          f"{path}: has {words} ({name}), which no model of ours has"
        )
  settings = _settings(path, options.config)
  if settings.get("use_dropout") in (True, "true"):
    raise types.UserError(
      f"{path}: was trained with use_dropout, whose factors at test time no "
      "model of ours has"
    )
  return _model(path, arrays, _dictionaries(path, options, settings))


def _check_marian(path: pathlib.Path, content: np.ndarray) -> None:
  """Refuses another type of model of Marian."""
  text = content.astype(np.uint8).tobytes().rstrip(b"\0")
  try:
    tree = yaml.load(text.decode(), Loader=yaml.BaseLoader)
    kind = tree["type"]
  except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError) as e:
    raise types.UserError(f"{path}: {_MARIAN} in it names no type") from e
  if kind != "nematus":
    raise types.UserError(
      f"{path}: is a model of Marian's type {kind}; only nematus can be read"
    )


def _settings(path: pathlib.Path, given: pathlib.Path | None) -> dict[str, Any]:
  """What the toolkit wrote beside the archive; empty if there is nothing."""
  names = [f"{path}.json", f"{path}.yml", f"{path}.decoder.yml"]
  for place in [given] if given else map(pathlib.Path, names):
    if given is None and not place.is_file():
      continue
    if place.suffix == ".json":
      tree: dict[str, Any] = records.read(place, dict[str, Any])
      return tree
    try:
      text = records.content(place).decode()
      tree = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as e:
      raise types.UserError(f"{place}: is no YAML in UTF-8") from e
    if not isinstance(tree, dict):
      raise types.UserError(f"{place}: holds no settings")
    return tree
  return {}


def _dictionaries(
  path: pathlib.Path, options: formats.Options, settings: dict[str, Any]
) -> tuple[pathlib.Path, pathlib.Path]:
  """Files of both dictionaries."""
  listed = settings.get("dictionaries", settings.get("vocabs"))
  names = (
    listed if isinstance(listed, list) and len(listed) == 2 else (None,) * 2
  )
  found = []
  for flag, given, name in (
    ("--source-vocab", options.source_vocab, names[0]),
    ("--target-vocab", options.target_vocab, names[1]),
  ):
    place = given
    if place is None and isinstance(name, str):
      near = path.parent / pathlib.PurePath(name).name
      place = near if near.is_file() else path.parent / name
    if place is None or not place.is_file():
      missing = f"no {place}" if place else "nothing beside it names one"
      raise types.UserError(
        f"{path}: its dictionary is not known ({missing}); give it with {flag}"
      )
    found.append(place)
  return found[0], found[1]


def _side(
  place: pathlib.Path, size: int, specials: word_lists.Order
) -> tuple[tokenizers.Tokenizer, word_lists.Order]:
  """The tokenizer of a dictionary, and its rows in our order."""
  words = word_lists.read(place)
  for i, names in ((EOS, ("eos", "</s>", "<EOS>")), (UNK, ("UNK", "<unk>"))):
    other = [word for word in names if words.get(word, i) != i]
    if other:
      raise types.UserError(
        f"{place}: {other[0]} has the id {words[other[0]]}, not {i} as in all "
        "dictionaries of this format"
      )
  ours = word_lists.order(size, specials)
  return word_lists.tokenizer(word_lists.symbols(words, ours, place)), ours


def _model(
  path: pathlib.Path,
  arrays: dict[str, np.ndarray],
  places: tuple[pathlib.Path, pathlib.Path],
) -> imported.Imported:
  t = imported.Transfer(arrays, path)
  _check_shapes(t)
  one_table = "Wemb_dec" not in t
  sizes = [len(t.take("Wemb", None, None))]
  sizes += sizes if one_table else [len(t.take("Wemb_dec", None, None))]
  specials = (None, None, EOS, UNK)
  source, rows = _side(places[0], sizes[0], specials)
  target, target_rows = source, rows
  if places[0] != places[1]:
    target, target_rows = _side(places[1], sizes[1], specials)
    if one_table and target.pieces != source.pieces:
      raise types.UserError(
        f"{path}: has one table for both sides, but two dictionaries"
      )
  if one_table:
    target = source
  vocabularies, data = word_lists.both(source, target)
  _tables(t, rows, target_rows, one_table)
  _encoder(t)
  _decoder(t)
  _readout(t, target_rows)
  t.ignore("decoder_c_tt", "the same for all source positions")
  t.ignore(_MARIAN, "settings")
  for name in ("history_errs", "uidx", "zipped_params"):
    t.ignore(name, "a record of training")
  tie = "none" if "ff_logit_W" in t else "all" if one_table else "decoder"
  conf = imported.config_of(_config(arrays, tie), data)
  notes = word_lists.notes(source.pieces, target.pieces)
  return t.result(conf, vocabularies, notes=notes)


def _check_shapes(t: imported.Transfer) -> None:
  """Compares the arrays' shapes with each other."""
  embed = t.take("Wemb", None, None).shape[1]
  dim, state = (len(t.take(f"{p}_U")) for p in ("encoder", "decoder"))
  hidden = t.take("decoder_W_comb_att", state, None).shape[1]
  read, context = t.take("ff_logit_lstm_W", state, None).shape[1], 2 * dim
  cells = [(f"{p}_", "", embed, dim) for p in ("encoder", "encoder_r")]
  cells += [("decoder_", "", embed, state), ("decoder_", "_nl", context, state)]
  for prefix, end, inputs, width in cells:
    names = ("Wc", "Wcx") if end else ("W", "Wx")
    t.take(prefix + names[0], inputs, 2 * width)
    t.take(prefix + names[1], inputs, width)
    t.take(f"{prefix}U{end}", width, 2 * width)
    t.take(f"{prefix}Ux{end}", width, width)
    _vector(t, f"{prefix}b{end}", 2 * width)
    _vector(t, f"{prefix}bx{end}", width)
  t.take("decoder_Wc_att", context, hidden)
  t.take("decoder_U_att", hidden, 1)
  _vector(t, "decoder_b_att", hidden)
  t.take("ff_state_W", context, state)
  _vector(t, "ff_state_b", state)
  for part, width in (("prev", embed), ("ctx", context), ("lstm", state)):
    t.take(f"ff_logit_{part}_W", width, read)
    _vector(t, f"ff_logit_{part}_b", read)
  words = len(t.take("Wemb_dec" if "Wemb_dec" in t else "Wemb", None, embed))
  if "ff_logit_W" in t:
    t.take("ff_logit_W", read, words)
  _vector(t, "ff_logit_b", words)


def _tables(
  t: imported.Transfer,
  rows: word_lists.Order,
  target_rows: word_lists.Order,
  one_table: bool,
) -> None:
  """Embeddings; the first target word is a vector of zeros there: our BOS."""
  how = "rows in our order"
  shared = one_table and "ff_logit_W" not in t
  if not shared:
    t.put(
      "encoder/embed/table/table",
      word_lists.rows(t.take("Wemb"), rows),
      "Wemb",
      how=how,
    )
  name = "Wemb" if one_table else "Wemb_dec"
  path = "encoder/embed/table" if shared else "decoder/embed_table"
  table = word_lists.rows(t.take(name), target_rows)
  t.put(f"{path}/table", table, name, how=how)


def _vector(
  t: imported.Transfer, name: str, size: int | None = None
) -> np.ndarray:
  """A bias; Marian's are [1, D]."""
  shape = (1, size) if t.take(name).ndim == 2 else (size,)
  return t.take(name, *shape).reshape(-1)


def _cell(
  t: imported.Transfer, path: str, names: dict[str, str], behind: bool
) -> None:
  """A GRU cell.

  Args:
    t: of the archive.
    path: of our cell.
    names: of the arrays W, U, b of the gates and Wx, Ux, bx of the candidate.
    behind: the attention; the candidate's bias is then inside of the reset.
  """
  n = names
  for ours, gates, candidate in (
    ("kernel", "W", "Wx"),
    ("recurrent", "U", "Ux"),
  ):
    pair = [t.take(n[gates], None, None), t.take(n[candidate], None, None)]
    t.put(
      f"{path}/{ours}",
      np.concatenate(pair, 1),
      n[gates],
      n[candidate],
      how="side by side",
    )
  of_gates, of_candidate = _vector(t, n["b"]), _vector(t, n["bx"])
  zeros = np.zeros_like(of_candidate)
  if behind:
    bias = np.concatenate([of_gates, zeros])
    t.put(f"{path}/bias", bias, n["b"], how="and zeros")
    t.put(f"{path}/bias_hn", of_candidate, n["bx"])
  else:
    bias = np.concatenate([of_gates, of_candidate])
    t.put(f"{path}/bias", bias, n["b"], n["bx"], how="side by side")
    t.put(f"{path}/bias_hn", zeros, how="zeros")


def _encoder(t: imported.Transfer) -> None:
  for prefix, path in (("encoder", "forward_0"), ("encoder_r", "backward_0")):
    names = {k: f"{prefix}_{k}" for k in ("W", "U", "b", "Wx", "Ux", "bx")}
    _cell(t, f"encoder/{path}", names, behind=False)


def _decoder(t: imported.Transfer) -> None:
  names = {k: f"decoder_{k}" for k in ("W", "U", "b", "Wx", "Ux", "bx")}
  _cell(t, "decoder/layer_0", names, behind=False)
  names = {"W": "Wc", "Wx": "Wcx"} | {
    k: f"{k}_nl" for k in ("U", "b", "Ux", "bx")
  }
  names = {k: f"decoder_{name}" for k, name in names.items()}
  _cell(t, "decoder/layer_0_context", names, behind=True)
  score = "decoder/attention/score"
  t.move("decoder_W_comb_att", f"{score}/query")
  t.move("decoder_Wc_att", f"{score}/key")
  t.move("decoder_b_att", f"{score}/bias", np.ravel)
  t.move("decoder_U_att", f"{score}/v")
  t.move("ff_state_W", "decoder/start_bridge/layer_0_0/kernel")
  t.move("ff_state_b", "decoder/start_bridge/layer_0_0/bias", np.ravel)


def _readout(t: imported.Transfer, rows: word_lists.Order) -> None:
  # Ours reads [state; context; embedding].
  parts = ("lstm", "ctx", "prev")
  kernels = [f"ff_logit_{part}_W" for part in parts]
  biases = [f"ff_logit_{part}_b" for part in parts]
  kernel = np.concatenate([t.take(name, None, None) for name in kernels])
  t.put(
    "decoder/readout_layer/kernel", kernel, *kernels, how="one above another"
  )
  bias = sum((_vector(t, name) for name in biases), np.float32(0))
  t.put("decoder/readout_layer/bias", np.asarray(bias), *biases, how="sum")
  how = "columns in our order"
  if "ff_logit_W" in t:
    columns = word_lists.rows(t.take("ff_logit_W", None, None).T, rows)
    t.put("decoder/head/kernel", columns.T, "ff_logit_W", how=how)
  last = word_lists.rows(_vector(t, "ff_logit_b"), rows, word_lists.NEVER)
  t.put("decoder/head/bias", last, "ff_logit_b", how=f"{how}, no pad and BOS")


def _config(arrays: dict[str, np.ndarray], tie: Any) -> config.Model:
  """The model of the arrays' shapes."""
  return config.Model(
    embed_dim=arrays["Wemb"].shape[1],
    encoder=config.Encoder(cell="gru", dim=len(arrays["encoder_U"])),
    decoder=config.Decoder(
      dim=len(arrays["decoder_U"]),
      bridge="mean",
      placement="cgru",
      input_feeding=False,
    ),
    attention=config.Attention(
      score="additive", dim=arrays["decoder_W_comb_att"].shape[1]
    ),
    readout=config.Readout(
      kind="tanh", inputs="all", dim=arrays["ff_logit_lstm_W"].shape[1]
    ),
    tie=tie,
  )
