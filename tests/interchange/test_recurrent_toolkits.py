"""Models of JoeyNMT, OpenNMT-py and fairseq: equal to their own outputs."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, convert, types
from seq2seq_jax.inference import loading
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.interchange import (
  fairseq,
  formats,
  joeynmt,
  opennmt,
  opennmt_vocabulary,
  toolkit_words,
  torch_files,
  workdir,
)
from seq2seq_jax.training import run as run_lib
from seq2seq_jax.training import start
from tests.helpers import recurrent_toolkits as toolkits
from tests.helpers.numeric import compiled

pytestmark = [
  pytest.mark.usefixtures("strict"),
  pytest.mark.skipif(
    not toolkits.FOLDER.is_dir(), reason="the toolkits' models are not here"
  ),
]
TOLERANCE = 1e-5
CASES = [name for name in toolkits.NAMES if toolkits.there(name)]
# One of each toolkit as a program; the others by the loop that programs are
# compared with elsewhere.
PROGRAMS = ("joey_lstm_bridge", "onmt_lstm_copy", "fairseq_lstm_proj")


@pytest.fixture(scope="module")
def case():
  """Cases by name, each read once."""
  known = {}

  def get(name):
    if name not in known:
      known[name] = toolkits.case(name)
    return known[name]

  return get


def worst(got, want):
  return np.max(np.abs(np.asarray(got, np.float64) - want))


@pytest.mark.parametrize("name", [n for n in CASES if "copy" not in n])
def test_equals_the_toolkit_s_own_outputs(name, case):
  one = case(name)
  workdir.checked(one.imported, name)  # names and shapes are the model's
  log_probs, weights = toolkits.slow_log_probs(one)
  assert worst(log_probs, one.log_probs()) < TOLERANCE
  if "attention" in one.expected:
    assert worst(weights, one.expected["attention"]) < TOLERANCE


def positions_as_words(one):
  """Each position of a source as a word that the vocabulary lacks."""
  rows, size = one.src.shape
  first = len(one.order)
  ids = first + np.arange(size, dtype=np.int32)
  return np.broadcast_to(ids, (rows, size)).copy()


def copied(one):
  """The toolkit's probabilities of words and positions, in our order."""
  probs, size = one.expected["probs"], len(one.order)
  return np.concatenate([probs[..., one.order], probs[..., size:]], -1)


@pytest.mark.parametrize("name", [n for n in PROGRAMS if n in CASES])
def test_the_program_equals_them_at_once_and_stepped(name, case):
  one = case(name)
  conf, vocabularies = one.imported.config, one.imported.vocabularies
  module = start.build_model(conf, vocabularies)
  source = positions_as_words(one) if conf.model.copies() else None

  def both(m):
    memory = m.encode(one.src, one.src_len, None, source)
    at_once = m.decoder.head.log_probs(
      memory, m.unroll(memory, jnp.asarray(one.tokens))
    )
    carry = m.start(memory, one.tokens.shape[1])

    def step(m, carry, tokens):
      carry, log_probs, _ = m.step(memory, carry, tokens[:, None])
      return carry, log_probs[:, 0]

    stepped = []
    for t in range(one.tokens.shape[1]):
      carry, log_probs = step(m, carry, jnp.asarray(one.tokens[:, t]))
      stepped.append(log_probs)
    return at_once, jnp.stack(stepped, 1)

  params = jax.tree.map(jnp.asarray, one.imported.params)
  run = compiled(lambda p: module.apply(p, method=both))
  for got in run(params):
    if source is not None:
      assert worst(np.exp(got), copied(one)) < TOLERANCE
    else:
      assert worst(got, one.log_probs()) < TOLERANCE


def changed(params, path, change):
  """The parameters with one of them changed."""
  params = copy.deepcopy(params)
  *way, last = path.split("/")
  node = params["params"]
  for name in way:
    node = node[name]
  node[last] = np.asarray(change(node[last]))
  return params


def swapped(rows, columns=None):
  """Two blocks change places: rows, or columns from `columns` on."""

  def change(x):
    if columns is None:
      return np.concatenate([x[rows:], x[:rows]])
    first = x[..., columns : 2 * columns], x[..., 2 * columns : 3 * columns]
    return np.concatenate(
      [x[..., :columns], first[1], first[0], x[..., 3 * columns :]], -1
    )

  return change


def halves(x):
  """One of two summed biases alone would be this far off."""
  return x * 0.5


MISTAKES = {
  "a key transposed": (
    *("onmt_lstm_general", "decoder/attention/score/key"),
    np.transpose,
  ),
  "fairseq's key transposed": (
    *("fairseq_lstm", "decoder/attention/score/key"),
    np.transpose,
  ),
  "joeynmt's key transposed": (
    *("joey_lstm_luong", "decoder/attention/score/key"),
    np.transpose,
  ),
  "a recurrent matrix whose gates are in TensorFlow's order": (
    *("fairseq_lstm", "decoder/layer_0/recurrent"),
    swapped(0, 12),
  ),
  "[context; state]": (
    *("fairseq_lstm", "decoder/readout_layer/kernel"),
    swapped(12),
  ),
  "[context; state] of OpenNMT": (
    *("onmt_gru_mlp", "decoder/readout_layer/kernel"),
    swapped(12),
  ),
  "rows in the toolkit's order": (
    *("joey_lstm_luong", "decoder/embed_table/table"),
    lambda x: x[[3, 0, 1, 2, *range(4, len(x))]],
  ),
  "BOS no copy of EOS": (
    *("fairseq_lstm_tied", "decoder/embed_table/table"),
    lambda x: np.concatenate([x[:1], 0 * x[:1], x[2:]]),
  ),
  "one bias alone": ("onmt_lstm_std", "decoder/layer_1/bias", halves),
  "the candidate's bias outside the reset": (
    *("onmt_gru_mlp", "decoder/layer_0/bias_hn"),
    np.zeros_like,
  ),
  "h and c of a bridge": (
    *("fairseq_lstm_proj", "decoder/start_bridge/leaf_0/bias"),
    np.zeros_like,
  ),
  "a bridge transposed": (
    *("joey_lstm_bridge", "decoder/start_bridge/layer/kernel"),
    np.transpose,
  ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_seen(name, case):
  which, path, change = MISTAKES[name]
  one = case(which)
  params = changed(one.imported.params, path, change)
  log_probs, _ = toolkits.slow_log_probs(one, params)
  assert worst(log_probs, one.log_probs()) > 100 * TOLERANCE


@pytest.mark.parametrize(
  ("name", "field", "value"),
  [
    ("joey_lstm_bridge", "decoder.bridge", "zero"),
    ("onmt_lstm_general", "decoder.bridge", "zero"),
    ("onmt_gru_mlp", "readout.kind", "tanh"),
    ("onmt_lstm_general", "readout.kind", "affine"),
  ],
)
def test_each_wrong_choice_is_seen(name, field, value, case):
  one = case(name)
  conf = config.replace(one.imported.config, {f"model.{field}": value})

  class Other:
    config, params = conf, one.imported.params

  log_probs, _ = toolkits.slow_log_probs(one._replace(imported=Other))
  assert worst(log_probs, one.log_probs()) > 100 * TOLERANCE


def test_opennmt_s_bridge():
  """relu(W s + b) over the states as it lays them side by side."""
  content, _ = toolkits.content("onmt_lstm_general")
  rng = np.random.default_rng(0)
  arrays = {k: v for k, v in content["model"].items()}
  arrays |= {f"generator.{k}": v for k, v in content["generator"].items()}
  for n in (0, 1):
    arrays[f"encoder.bridge.{n}.weight"] = rng.normal(size=(12, 12))
    arrays[f"encoder.bridge.{n}.bias"] = rng.normal(size=12)
  words = opennmt_vocabulary.read(content["vocab"], "x")
  made = opennmt.converted(arrays, content["opt"].state, words, "x")
  made, _ = workdir.checked(made, "x")
  assert made.config.model.decoder.bridge == "relu_rows"
  one = toolkits.case("onmt_lstm_general")
  module = start.build_model(made.config, made.vocabularies)

  def first(m):
    memory = m.encode(one.src, one.src_len)
    return memory.state, m.start(memory, 1).cells

  params = jax.tree.map(jnp.asarray, made.params)
  states, cells = compiled(lambda p: module.apply(p, method=first))(params)
  for ours, theirs in ((0, 1), (1, 0)):  # c and h there are second and first
    weight = arrays[f"encoder.bridge.{theirs}.weight"]
    bias = arrays[f"encoder.bridge.{theirs}.bias"]
    for b in range(len(one.src)):
      flat = np.concatenate([layer[ours][b] for layer in states])
      rows = [weight @ flat[n : n + 12] + bias for n in (0, 12)]
      want = np.maximum(np.stack(rows), 0)
      got = np.stack([layer[ours][b, 0] for layer in cells])
      assert worst(got, want) < TOLERANCE


def test_words_come_with_their_rows(case):
  for name, word, row in (
    ("joey_lstm_luong", "w5", 9),
    ("onmt_lstm_general", "x", 25),
    ("fairseq_lstm", "w3", 7),
  ):
    one = case(name)
    tokenizer = one.imported.vocabularies.target.tokenizer
    (i,) = tokenizer.encode(word)
    assert one.order[int(i)] == row


def refused(call, *parts):
  with pytest.raises(types.UserError) as e:
    call()
  message = str(e.value)
  assert "\n" not in message
  for part in parts:
    assert part in message
  return message


@pytest.mark.parametrize(
  ("path", "value", "parts"),
  [
    ("encoder/type", "transformer", ("model.encoder.type", "transformer")),
    ("decoder/activation", "relu", ("model.decoder.activation", "relu")),
    ("decoder/attention", "dot", ("model.decoder.attention", "dot")),
  ],
)
def test_joeynmt_s_other_parts_are_refused(path, value, parts):
  content, settings = toolkits.content("joey_lstm_luong")
  section, field = path.split("/")
  settings["model"][section][field] = value
  words = joeynmt.word_list(
    toolkits.FOLDER / "joey_lstm_luong/src_vocab.txt", settings, "src"
  )
  refused(
    lambda: joeynmt.converted(
      content["model_state"], settings, words, words, "best.ckpt"
    ),
    "best.ckpt",
    *parts,
  )


@pytest.mark.parametrize(
  ("option", "value"),
  [
    ("encoder_type", "transformer"),
    ("rnn_type", "SRU"),
    ("coverage_attn", True),
    ("context_gate", "both"),
    ("copy_attn", True),
    ("generator_function", "sparsemax"),
  ],
)
def test_opennmt_s_other_parts_are_refused(option, value):
  content, _ = toolkits.content("onmt_lstm_general")
  arrays = dict(content["model"])
  arrays |= {f"generator.{k}": v for k, v in content["generator"].items()}
  opt = {**content["opt"].state, option: value}
  words = opennmt_vocabulary.read(content["vocab"], "x.pt")
  call = lambda: opennmt.converted(arrays, opt, words, "x.pt")  # noqa: E731
  refused(call, "x.pt", option)


@pytest.mark.parametrize(
  ("args", "part"),
  [
    ({"residuals": True}, "residuals"),
    ({"arch": "transformer_iwslt_de_en"}, "transformer_iwslt_de_en"),
    ({"arch": "lstm_lm"}, "lstm_lm"),
  ],
)
def test_fairseq_s_other_parts_are_refused(args, part):
  content, _ = toolkits.content("fairseq_lstm")
  words = toolkit_words.WordList(["a"] * 4, fairseq.SPECIALS, "dict")
  refused(
    lambda: fairseq.converted(content["model"], args, words, words, "c.pt"),
    "c.pt",
    part,
  )


@pytest.mark.parametrize("scale", [False, True])
def test_joeynmt_s_shared_matrices(scale):
  """One here too, unless the embeddings are scaled: they are then two."""
  content, settings = toolkits.content("joey_lstm_luong")
  arrays = dict(content["model_state"])
  rng = np.random.default_rng(0)
  arrays["trg_embed.lut.weight"] = arrays["decoder.output_layer.weight"]
  arrays["decoder.rnn.weight_ih_l0"] = rng.normal(size=(48, 24))
  settings["model"]["tied_softmax"] = True
  settings["model"]["decoder"]["embeddings"]["scale"] = scale
  folder = toolkits.FOLDER / "joey_lstm_luong"
  words = [
    joeynmt.word_list(folder / f"{side}_vocab.txt", settings, side)
    for side in ("src", "trg")
  ]
  made = joeynmt.converted(arrays, settings, *words, "best.ckpt")
  made, fresh = workdir.checked(made, "best.ckpt")
  decoder = made.params["params"]["decoder"]
  assert made.config.model.tie == ("none" if scale else "decoder")
  assert ("kernel" in decoder["head"]) == scale and not fresh
  assert any("they are two here" in note for note in made.notes) == scale
  if scale:
    table, kernel = decoder["embed_table"]["table"], decoder["head"]["kernel"]
    np.testing.assert_allclose(table, kernel.T * np.sqrt(12), rtol=1e-6)


def test_arrays_that_nothing_reads_are_refused():
  content, _ = toolkits.content("onmt_lstm_general")
  arrays = dict(content["model"]) | {"decoder.other": np.zeros(3)}
  arrays |= {f"generator.{k}": v for k, v in content["generator"].items()}
  words = opennmt_vocabulary.read(content["vocab"], "x.pt")
  made = opennmt.converted(arrays, content["opt"].state, words, "x.pt")
  refused(lambda: workdir.checked(made, "x.pt"), "decoder.other")


def test_a_vocabulary_of_another_size_is_refused():
  folder = toolkits.FOLDER
  options = formats.Options(
    source_vocab=folder / "joey_lstm_luong/trg_vocab.txt"
  )
  refused(
    lambda: formats.read("joeynmt", folder / "joey_lstm_luong", options),
    "24 rows",
    "26 words",
  )


def test_old_and_new_checkpoints_of_fairseq_are_one(case):
  options = formats.Options(checkpoint="checkpoint_old.pt")
  path = toolkits.FOLDER / "fairseq_lstm"
  old = formats.read("fairseq", path, options)
  new = case("fairseq_lstm").imported
  assert old.config == new.config
  jax.tree.map(np.testing.assert_array_equal, old.params, new.params)


def test_vocabularies_of_torchtext():
  """Versions 1 and 2 of OpenNMT-py store objects; one begins with EOS."""

  def field(words):
    inner = torch_files.Record("torchtext.vocab.Vocab")
    inner.state = {"itos": words, "freqs": {}}
    outer = torch_files.Record("onmt.inputters.text_dataset.TextMultiField")
    base = torch_files.Record("torchtext.data.Field")
    base.state = {"vocab": inner, "init_token": "<s>"}
    outer.state = {"fields": [("src", base)]}
    return inner, outer

  (src, source), (tgt, target) = (
    field(["<unk>", "<blank>", *more])
    for more in (["a", "b"], ["<s>", "</s>", "c"])
  )
  for vocab in ({"src": source, "tgt": target}, [("src", src), ("tgt", tgt)]):
    words = opennmt_vocabulary.read(vocab, "x.pt")
    assert words.source.words == ["<unk>", "<blank>", "a", "b"]
    assert words.source.specials == (1, None, None, 0)
    assert words.start == 2
  table = words.source.table(np.arange(1.0, 5)[:, None])
  assert table[:, 0].tolist() == [2, 0, 0, 1, 3, 4]


def greedy(one, sources, steps):
  """Outputs of the loop's greedy search, as ids."""
  model, p = one.imported.config.model, one.imported.params
  out = []
  for row in sources:
    ids = [types.BOS]
    while len(ids) <= steps:
      here = one._replace(
        src=np.array([row], np.int32),
        src_len=np.array([len(row)], np.int32),
        tokens=np.array([ids], np.int32),
      )
      log_probs, _ = toolkits.slow_log_probs(here, p)
      scores = log_probs[0, -1].copy()
      scores[[types.PAD, types.BOS]] = -np.inf
      ids.append(int(np.argmax(scores)))
      if ids[-1] == types.EOS:
        break
    out.append([i for i in ids[1:] if i != types.EOS])
  assert model.decoder.kind == "rnn"
  return out


def test_a_workdir_searches_as_the_loop_does(case, tmp_path, capsys):
  """Of a source without EOS, by the command."""
  one = case("onmt_lstm_general")
  place = str(tmp_path / "w")
  flags = ["--decode.beam_size", "1", "--decode.max_extra", "4"]
  argv = ["opennmt", str(one.path), "--workdir", place, *flags]
  assert convert.main([*argv, "--decode.max_ratio", "0"]) == 0
  assert "generator.weight -> params/decoder/head/kernel" in (
    capsys.readouterr().out
  )
  sources = ["w3 w4 w1", "w9"]
  encode = one.imported.vocabularies.source.tokenizer.encode
  want = greedy(one, [encode(text).tolist() for text in sources], 4)
  decode = one.imported.vocabularies.target.tokenizer.decode
  got = model_lib.load(place).translate(sources)
  assert any(want)
  assert got == [decode(ids) for ids in want]


def test_training_on_starts_at_the_converted_model_s_score(case, tmp_path):
  """That of the loop, by the mean over the tokens of the validation set."""
  one, place = case("joey_lstm_bridge"), str(tmp_path / "w")
  assert convert.main(["joeynmt", str(one.path), "--workdir", place]) == 0
  pairs = [("w3 w4 w1", "w5 x"), ("w9 w0", "y w2 w2"), ("w1", "w7")]
  (tmp_path / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs))
  changes = {
    "data.task": "tsv",
    "data.root": str(tmp_path),
    "data.train": ("pairs.tsv",),
    "data.valid": ("pairs.tsv",),
    "data.vocabulary": place,
    "data.buckets": 1,
    "data.batch_size": 8,
    "train.init_from": place,
  }
  conf = config.replace(loading.read_config(tmp_path / "w"), changes)
  run = run_lib.Run(conf, tmp_path / "on")
  run.checkpoints.close()
  scores = run.evaluator.model_scores((run.params(),))
  losses = []
  for source, target in pairs:
    encoded = one.imported.vocabularies.encode((source, target))
    src, tgt = encoded.source.values, encoded.target.values
    log_probs, _ = toolkits.slow_log_probs(
      one._replace(
        src=src[None],
        src_len=np.array([len(src)], np.int32),
        tokens=np.array([[types.BOS, *tgt[:-1]]], np.int32),
      )
    )
    losses += list(-log_probs[0, np.arange(len(tgt)), tgt])
  assert abs(scores["loss"] - np.mean(losses)) < TOLERANCE
