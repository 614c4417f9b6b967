"""BERT, RoBERTa, GPT-2 and pairs of them against their own code's outputs."""

import dataclasses
import json
import pathlib
import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import convert, types
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.interchange import (
  formats,
  huggingface_arrays,
  imported,
  safetensors_files,
  workdir,
)
from seq2seq_jax.training import run as run_lib
from seq2seq_jax.training import start
from tests.helpers import tiny_runs
from tests.helpers.numeric import compiled

FIXTURES = (
  pathlib.Path(__file__).parents[3] / "shared" / "fixtures" / "huggingface"
)
pytestmark = pytest.mark.skipif(
  not FIXTURES.is_dir(), reason="no stored models of transformers"
)
for name in ("tokenizers", "safetensors"):
  pytest.importorskip(name, reason=f"needs {name}")
LIMIT = 1e-5
BERT = {"[PAD]": 0, "[UNK]": 10, "[CLS]": 2, "[SEP]": 30}
ROBERTA = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}


def tokenizer(size, named):
  """A tokenizer.json of the words w0, w1, ..., some with other names."""
  import tokenizers

  names = {i: name for name, i in named.items()}
  ids = {names.get(i, f"w{i}"): i for i in range(size)}
  unknown = next((n for n in named if "unk" in n.lower()), "w0")
  model = tokenizers.Tokenizer(
    tokenizers.models.WordLevel(ids, unk_token=unknown)
  )
  model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
  return model.to_str()


def folder_of(name, tmp_path, **changes):
  """A copy of a stored model, with a tokenizer and other fields."""
  folder = tmp_path / name
  folder.mkdir()
  for path in (FIXTURES / name).iterdir():
    if path.suffix in (".json", ".safetensors"):
      shutil.copy(path, folder)
  path = folder / "config.json"
  fields = json.loads(path.read_text())
  path.write_text(json.dumps(fields | changes))
  decoder = fields.get("decoder", fields)
  kinds = {"bert": BERT, "roberta": ROBERTA, "gpt2": {}}
  size = decoder["vocab_size"]
  text = tokenizer(size, kinds[decoder["model_type"]])
  (folder / "tokenizer.json").write_text(text)
  return folder


def read(folder, check=True, **options):
  """The imported model, checked, and its module.

  Unchecked, what the files lack is not drawn.
  """
  found = formats.read("huggingface", folder, formats.Options(**options))
  if check:
    found, _ = workdir.checked(found, str(folder))
  return found, start.build_model(found.config, found.vocabularies)


def stored(name):
  return dict(np.load(FIXTURES / name / "expected.npz"))


def ours(side, ids):
  """Our ids of theirs."""
  own = side.tokenizer.own_ids(range(side.vocab_size))
  back = {theirs: n for n, theirs in reversed(list(enumerate(own)))}
  # Of several rows of one id that of EOS is the model's own.
  back[own[types.EOS]] = types.EOS
  return np.vectorize(back.get)(ids).astype(np.int32)


def log_softmax(logits):
  x = np.asarray(logits, np.float64)
  x = x - x.max(-1, keepdims=True)
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def run(found, module, method, *args):
  params = jax.tree.map(jnp.asarray, found.params)
  return compiled(lambda p: module.apply(p, *args, method=method))(params)


def encoded(found, module, x):
  """The encoder's output."""
  ids = ours(found.vocabularies.source, x["ids"])
  lengths = x["mask"].sum(1).astype(np.int32)
  return run(found, module, lambda m: m.encoder(ids, lengths).values)


def decoded(found, module, x, stepped=True):
  """log P of their words at all steps, at once and stepped, and attention."""
  target = found.vocabularies.target
  tokens = ours(target, x["tgt"] if "tgt" in x else x["ids"])
  if "tgt" in x:
    assert np.all(x["tgt"][:, 0] == x["tgt"][0, 0])
    tokens[:, 0] = types.BOS
  src, lengths = None, np.ones(len(tokens), np.int32)
  if "tgt" in x:
    src = ours(found.vocabularies.source, x["ids"])
    lengths = x["mask"].sum(1).astype(np.int32)

  def both(m):
    memory = m.encode(src, lengths)
    output = m.unroll(memory, jnp.asarray(tokens))
    whole = m.decoder.head.log_probs(memory, output)
    if not stepped:
      return whole, whole, output.attention
    carry = m.start(memory, tokens.shape[1])

    def step(m, carry, tokens):
      carry, log_probs, _ = m.step(memory, carry, tokens[:, None])
      return carry, log_probs[:, 0]

    scan = nn.scan(step, variable_broadcast="params", split_rngs={})
    _, steps = scan(m, carry, jnp.asarray(tokens.T))
    return whole, jnp.swapaxes(steps, 0, 1), output.attention

  whole, steps, attention = run(found, module, both)
  words = ours(target, np.arange(x["logits"].shape[-1]))
  added = np.setdiff1d(np.arange(target.vocab_size), words)
  assert not np.any(np.exp(whole[..., added]))
  return whole[..., words], steps[..., words], attention


def gap(got, want, mask=None):
  difference = np.abs(np.asarray(got, np.float64) - want)
  if mask is not None:
    difference = difference[mask.astype(bool)]
  return difference.max()


def encoder_gap(name, tmp_path, **changes):
  x = stored(name)
  folder = folder_of(name, tmp_path, **changes)
  found, module = read(folder, check=False)
  if "types" in x:  # of type 1 from place 4 on
    kinds = safetensors_files.read(folder / "model.safetensors")
    kinds = kinds["embeddings.token_type_embeddings.weight"]
    table = found.params["params"]["encoder"]["places"]["table"]
    table[4:] += kinds[1] - kinds[0]
  return gap(encoded(found, module, x), x["last"], x["mask"])


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_encoders(name, tmp_path):
  assert encoder_gap(name, tmp_path) < LIMIT


@pytest.mark.parametrize(
  ("name", "changes"),
  [
    ("bert", {"hidden_act": "gelu_new"}),
    ("bert", {"layer_norm_eps": 1e-5}),
    ("bert", {"num_attention_heads": 4}),
    ("roberta", {"pad_token_id": 0, "max_position_embeddings": 21}),
  ],
  ids=["activation", "epsilon", "heads", "positions"],
)
def test_a_mistake_in_an_encoder_is_seen(name, changes, tmp_path):
  if "pad_token_id" in changes:
    folder = folder_of(name, tmp_path, **changes)
    path = folder / "model.safetensors"
    arrays = safetensors_files.read(path)
    key = "embeddings.position_embeddings.weight"
    arrays[key] = arrays[key][:21]
    safetensors_files.write(path, arrays, {})
    found, module = read(folder, check=False)
    x = stored(name)
    assert gap(encoded(found, module, x), x["last"], x["mask"]) > 1
    return
  assert encoder_gap(name, tmp_path, **changes) > 10 * LIMIT


@pytest.mark.parametrize("what", ["transposes", "rows"])
def test_a_mistake_in_the_arrays_is_seen(what, tmp_path, monkeypatch):
  if what == "rows":
    monkeypatch.setattr(huggingface_arrays, "rows_of", lambda table, _: table)
  else:
    real = imported.Transfer.transpose

    def square(self, name, path):
      if self.arrays[name].shape[0] != self.arrays[name].shape[1]:
        return real(self, name, path)
      return self.move(name, path)

    monkeypatch.setattr(imported.Transfer, "transpose", square)
  assert encoder_gap("bert", tmp_path) > 0.1


PAIRS = ["bert2bert", "bert2bert_wide", "bert2gpt2"]


@pytest.mark.parametrize("name", [n for n in PAIRS if (FIXTURES / n).is_dir()])
def test_encoder_decoders(name, tmp_path):
  x = stored(name)
  found, module = read(folder_of(name, tmp_path))
  whole, steps, attention = decoded(found, module, x)
  want = log_softmax(x["logits"])
  assert gap(whole, want) < LIMIT
  assert gap(steps, want) < LIMIT
  assert gap(attention, x["cross"][-1].mean(1)) < LIMIT
  assert gap(encoded(found, module, x), x["encoder"], x["mask"]) < LIMIT


def lm_gaps(name, tmp_path, stepped=True, **changes):
  x = stored(name)
  found, module = read(folder_of(name, tmp_path, **changes))
  whole, steps, _ = decoded(found, module, x, stepped)
  want = log_softmax(x["logits"])
  return gap(whole, want, x["mask"]), gap(steps, want, x["mask"])


@pytest.mark.parametrize("name", ["gpt2", "gpt2_inverse"])
def test_language_models(name, tmp_path):
  assert max(lm_gaps(name, tmp_path)) < LIMIT


@pytest.mark.parametrize(
  ("name", "changes"),
  [
    ("gpt2", {"activation_function": "gelu"}),
    ("gpt2", {"layer_norm_epsilon": 1e-3}),
    ("gpt2_inverse", {"scale_attn_by_inverse_layer_idx": False}),
    ("gpt2", {"scale_attn_weights": False}),
  ],
  ids=["activation", "epsilon", "by_layer", "scale"],
)
def test_a_mistake_in_a_language_model_is_seen(name, changes, tmp_path):
  assert lm_gaps(name, tmp_path, False, **changes)[0] > 10 * LIMIT


@pytest.mark.parametrize("name", ["bert_mlm", "bert_mlm_tanh"])
def test_masked_language_models(name, tmp_path):
  """The encoder, and what stands before the decoder's words."""
  x = stored(name)
  found, module = read(folder_of(name, tmp_path), check=False, part="both")
  source = found.vocabularies.source
  ids = ours(source, x["ids"])
  lengths = x["mask"].sum(1).astype(np.int32)

  def logits(m):
    values = m.encoder(ids, lengths).values
    features = m.decoder.transform(values)
    return m.decoder.head.logits(features)

  got = run(found, module, logits)[..., ours(source, np.arange(41))]
  assert gap(got, x["logits"], x["mask"]) < LIMIT


def test_a_workdir_that_is_searched(tmp_path, capsys):
  """Greedy search writes what the log-probabilities say."""
  folder = folder_of("bert2bert", tmp_path)
  words = ["huggingface", str(folder), "--workdir", str(tmp_path / "w")]
  assert convert.main(words) == 0
  printed = capsys.readouterr().out
  name = "encoder.encoder.layer.0.attention.self.query.weight"
  path = "params/encoder/layer_0/attention/query/kernel"
  assert f"{name} -> {path} [24, 24] (transposed)" in printed
  assert "encoder.pooler.dense.bias: not used" in printed
  model = model_lib.load(tmp_path / "w")
  conf = model.config
  assert conf.data.joint and conf.data.source_ends == "bos_eos"
  assert conf.decode.max_source_length == 20
  source = "w5 w9 w7"
  [text] = model.with_search(1, max_ratio=0.0, max_extra=6).translate([source])
  found, module = read(folder)
  side = found.vocabularies.source
  assert side.show(source) == ["<s>", "w5", "w9", "w7", "</s>"]
  src = side.encode(source).values[None]
  tokens = found.vocabularies.target.encode(text).values[None]
  fed = np.concatenate([[[types.BOS]], tokens[:, :-1]], 1).astype(np.int32)

  def log_probs(m):
    memory = m.encode(src, np.array([src.shape[1]], np.int32))
    return m.decoder.head.log_probs(memory, m.unroll(memory, jnp.asarray(fed)))

  best = np.array(run(found, module, log_probs))
  best[..., [types.PAD, types.BOS]] = -np.inf
  steps = min(6, tokens.shape[1])
  assert np.argmax(best[0, :steps], -1).tolist() == tokens[0, :steps].tolist()


@pytest.mark.quick
def test_what_a_bert_can_become(tmp_path):
  folder = folder_of("bert_mlm", tmp_path)
  found, _ = read(folder, check=False)
  assert found.config.model.encoder.kind == "transformer"
  assert found.config.model.decoder.kind == "rnn"
  assert "cls.predictions.bias" in found.ignored
  lm, _ = read(folder, check=False, part="decoder")
  assert (
    not lm.config.data.has_source() and "encoder" not in lm.params["params"]
  )
  both, _ = read(folder, check=False, part="both")
  paths = {move.path for move in both.moves}
  assert "params/encoder/layer_1/feed/up/kernel" in paths
  assert "params/decoder/layer_1/feed/up/kernel" in paths
  assert "params/decoder/layer_1/cross/query/kernel" not in paths


def old_names(folder):
  """As files converted from TensorFlow, with buffers of old versions."""
  path = folder / "model.safetensors"
  arrays = {
    k.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
      "LayerNorm.bias", "LayerNorm.beta"
    ): v
    for k, v in safetensors_files.read(path).items()
  }
  arrays["embeddings.position_ids"] = np.arange(20)[None]
  safetensors_files.write(path, arrays, {})


def test_old_names_and_buffers(tmp_path):
  folder = folder_of("bert", tmp_path)
  want, _ = read(folder, check=False)
  old_names(folder)
  got, _ = read(folder)  # with a decoder that is drawn
  encoders = [x.params["params"]["encoder"] for x in (got, want)]
  assert all(jax.tree.leaves(jax.tree.map(np.array_equal, *encoders)))
  assert "decoder" in got.params["params"]
  assert "embeddings.position_ids" in got.ignored


@pytest.mark.quick
@pytest.mark.parametrize(
  ("name", "changes", "message"),
  [
    ("bert", {"model_type": "t5"}, "model_type is 't5'; read are bert, rob"),
    ("bert", {"position_embedding_type": "relative_key"}, "can only be 'abs"),
    ("bert", {"hidden_act": "silu"}, "hidden_act is 'silu'; ours can be rel"),
    ("bert", {"hidden_size": "24"}, "hidden_size must be a number"),
    ("bert", {"hidden_size": None}, "hidden_size must be a number, not None"),
    ("bert", {"vocab_size": 40}, "its tokenizer has 41 tokens, but|shape"),
    ("bert", {"num_hidden_layers": 3}, r"no array encoder\.layer\.2\.att"),
    ("bert", {"num_hidden_layers": 1}, r"no use for: encoder\.layer\.1"),
    ("gpt2", {"model_type": "bert"}, "max_position_embeddings must be a num"),
    ("gpt2", {"eos_token_id": 99}, "is no id of the model's 43 tokens"),
    ("bert2bert", {"encoder": 3}, "has no section encoder"),
    ("bert2bert", {"decoder_start_token_id": 77}, "'77' is no id"),
  ],
)
def test_what_cannot_be_expressed_is_refused(name, changes, message, tmp_path):
  folder = folder_of(name, tmp_path, **changes)
  if name == "bert" and changes.get("vocab_size"):
    (folder / "tokenizer.json").write_text(tokenizer(41, BERT))
  with pytest.raises(types.UserError, match=message) as caught:
    read(folder)  # before anything is computed
  assert "\n" not in str(caught.value)


@pytest.mark.quick
@pytest.mark.parametrize(
  ("spoil", "options", "message"),
  [
    ("no tokenizer", {}, "has no tokenizer .* with --source-vocab"),
    ("no weights", {}, "has neither model.safetensors nor pytorch_model.bin"),
    ("cut weights", {}, "is no whole file of safetensors"),
    ("no config", {}, "config.json: cannot read"),
    ("no [SEP]", {}, r"has no \[SEP\], the sep_token of a bert model"),
    ("", {"part": "all"}, "--part all: is one of encoder, decoder, both"),
    ("", {"source_vocab": pathlib.Path("/x")}, "/x: no such file or folder"),
  ],
)
def test_what_is_missing_is_named(spoil, options, message, tmp_path):
  folder = folder_of("bert", tmp_path)
  weights, words = folder / "model.safetensors", folder / "tokenizer.json"
  if spoil == "no tokenizer":
    words.unlink()
  elif spoil == "no weights":
    weights.unlink()
  elif spoil == "cut weights":
    weights.write_bytes(weights.read_bytes()[:-100])
  elif spoil == "no config":
    (folder / "config.json").unlink()
  elif spoil == "no [SEP]":
    words.write_text(tokenizer(41, {**BERT, "[END]": 30}))
  with pytest.raises(types.UserError, match=message) as caught:
    read(folder, **options)
  assert "\n" not in str(caught.value)


def test_a_file_of_pytorch(tmp_path):
  torch = pytest.importorskip("torch", reason="PyTorch writes the file")
  folder = folder_of("gpt2", tmp_path)
  want, _ = read(folder)
  arrays = safetensors_files.read(folder / "model.safetensors")
  # Bare, as on the hub, with the mask of old versions.
  state = {
    k.removeprefix("transformer."): torch.tensor(v) for k, v in arrays.items()
  }
  state["h.0.attn.bias"] = torch.ones(1, 1, 20, 20)
  torch.save(state, folder / "pytorch_model.bin")
  (folder / "model.safetensors").unlink()
  got, _ = read(folder)
  same = jax.tree.map(np.array_equal, got.params, want.params)
  assert all(jax.tree.leaves(same))


def test_a_recurrent_decoder_on_an_encoder(tmp_path):
  """Another run takes the encoder and its words; the target's are its own."""
  folder, here = folder_of("roberta", tmp_path), str(tmp_path / "w")
  assert convert.main(["huggingface", str(folder), "--workdir", here]) == 0
  theirs = model_lib.load(here).config.model
  sizes = dataclasses.asdict(theirs.transformer)
  conf = tiny_runs.tiny(
    data={
      "vocabulary": here,
      "vocabulary_sides": "source",
      "source.tokenizer": "pretrained",
      "source_ends": "bos_eos",
    },
    model={
      "embed_dim": theirs.embed_dim,
      "encoder.kind": "transformer",
      "decoder.bridge": "mean",
      **{f"transformer.{name}": value for name, value in sizes.items()},
    },
    train={"init_from": here},
  )
  begun = run_lib.Run(conf, tmp_path / "run")
  found, _ = read(folder, check=False)
  got = begun.params()["params"]["encoder"]
  want = found.params["params"]["encoder"]
  assert all(jax.tree.leaves(jax.tree.map(np.array_equal, got, want)))
