"""Decoders against a loop over sentences in float64."""

import pytest

from seq2seq_jax import config
from seq2seq_jax.models import build
from tests.helpers.oracle_decoder import BASE, DROPOUTS, VOCAB, check_decoder

pytestmark = pytest.mark.usefixtures("strict")

PLACES = ("luong", "bahdanau", "cgru", "gnmt_v2", "gnmt")
FEEDS = ("none", "readout", "context")
READS = ("tanh", "maxout", "linear")
INPUTS = ("state", "state_context", "all")
# With cells and scores spread over them, and every readout with every input.
SPREAD = {
  "encoder.cell": ("lstm", "gru", "gru_bahdanau", "ln_lstm", "sru"),
  "attention.score": (
    "additive",
    "general",
    "location_aware",
    "multi_head_dot",
    "coverage",
    "scaled_general",
    "feedback",
  ),
}


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("place", PLACES)
def test_decoder_equals_a_loop(place, feed):
  i, j = PLACES.index(place), FEEDS.index(feed)
  changes = {
    "decoder.placement": place,
    "decoder.input_feeding": feed != "none",
    "decoder.feed": "readout" if feed == "none" else feed,
    "readout.kind": READS[(i + j) % 3],
    "readout.inputs": INPUTS[(i + 2 * j) % 3],
    "decoder.layers": 2 if "gnmt" in place else 1 + (i + j) % 3,
  }
  for name, choices in SPREAD.items():
    changes[name] = choices[(3 * i + j) % len(choices)]
  check_decoder(**changes)


GRADIENTS = {
  "luong": {"attention.score": "general"},
  "bahdanau": {
    "encoder.cell": "gru_bahdanau",
    "attention.score": "additive",
    "decoder.placement": "bahdanau",
    "decoder.input_feeding": False,
    "readout.kind": "maxout",
    "readout.inputs": "all",
    "readout.state": "previous",
    "decoder.bridge": "mean",
  },
  "conditional_gru": {
    "encoder.cell": "gru",
    "attention.score": "additive",
    "decoder.placement": "cgru",
    "decoder.input_feeding": False,
    "readout.inputs": "all",
    "transition_depth": 2,
  },
  "gnmt": {
    "attention.score": "normed_additive",
    "decoder.placement": "gnmt",
    "decoder.input_feeding": False,
    "readout.kind": "linear",
    "decoder.layers": 3,
    "residual": "add",
    "residual_start": 2,
  },
  "gnmt_v2": {
    "attention.score": "normed_additive",
    "decoder.placement": "gnmt_v2",
    "decoder.input_feeding": False,
    "readout.kind": "linear",
    "readout.inputs": "state",
    "decoder.layers": 3,
    "residual": "add",
    "residual_start": 3,
  },
  "nvidia_gnmt": {
    "attention.score": "normed_additive",
    "decoder.placement": "nvidia_gnmt",
    "decoder.input_feeding": False,
    "readout.kind": "linear",
    "readout.inputs": "state",
    "decoder.layers": 4,
    "residual": "add",
    "residual_start": 3,
  },
  "deep_luong_all_at_once": {
    "attention.score": "general",
    "decoder.input_feeding": False,
    "decoder.layers": 3,
    "residual": "dense",
    "encoder.cell": "gru",
  },
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_published_decoders(name):
  check_decoder(slopes=True, **GRADIENTS[name])


MORE = {
  "previous_tanh": {
    "readout.state": "previous",
    "decoder.placement": "bahdanau",
  },
  "previous_linear_deep": {
    "readout.state": "previous",
    "decoder.placement": "bahdanau",
    "readout.kind": "linear",
    "readout.inputs": "all",
    "decoder.feed": "context",
    "decoder.layers": 2,
    "residual": "add",
  },
  "dense_residual": {
    "decoder.layers": 3,
    "residual": "dense",
    "residual_start": 2,
  },
  "monotonic_all_at_once": {
    "attention.window": "monotonic",
    "decoder.input_feeding": False,
  },
  "predictive_sparsemax": {
    "attention.window": "predictive",
    "attention.norm": "sparsemax",
    "decoder.placement": "cgru",
    "attention.score": "concat",
  },
  "location_from_uniform": {
    "attention.score": "location_aware",
    "attention.location_start": "uniform",
  },
  "affine": {"readout.kind": "affine", "readout.inputs": "all"},
  "target_width": {"decoder.embed_dim": 5, "readout.inputs": "all"},
  "dense_top": {"decoder.bridge": "dense_top", "decoder.layers": 2},
  "none_start": {"attention.score": "none", "decoder.input_feeding": False},
  "none_every_step": {
    "attention.score": "none",
    "decoder.context_at": "every_step",
    "decoder.bridge": "zero",
    "encoder.cell": "ln_gru",
  },
  "none_all_start": {"attention.score": "none", "decoder.context": "all"},
  "none_all_both": {
    "attention.score": "none",
    "decoder.context": "all",
    "decoder.context_at": "both",
    "decoder.layers": 2,
    "readout.kind": "linear",
    "readout.inputs": "all",
  },
  "mixed_cells": {
    "encoder.cell": "gru",
    "decoder.cell": "lstm",
    "encoder.layers": 2,
    "decoder.layers": 3,
  },
}


@pytest.mark.parametrize("name", MORE)
def test_other_decoders_equal_a_loop(name):
  check_decoder(**MORE[name])


MASKED = {  # how many layers are looped over together, of how many
  "0/2": {"decoder.input_feeding": False},
  "2/2": {"decoder.input_feeding": True},
  "2/2 bahdanau": {"decoder.placement": "bahdanau", "decoder.feed": "context"},
  "0/3 nvidia_gnmt": {
    "decoder.placement": "nvidia_gnmt",
    "decoder.input_feeding": False,
    "decoder.layers": 3,
  },
  "1/3 gnmt": {
    "decoder.placement": "gnmt",
    "decoder.input_feeding": False,
    "decoder.layers": 3,
    "residual": "add",
    "residual_start": 3,
  },
  "1/2 cgru": {"decoder.placement": "cgru", "decoder.feed": "context"},
  "2/2 pointer": {
    "decoder.placement": "gnmt_v2",
    "decoder.feed": "context",
    "head": "pointer",
  },
}


@pytest.mark.parametrize("name", MASKED)
def test_decoder_with_masks_equals_a_loop(name):
  """Whatever part of the steps is looped over, and what is made at once."""
  masks = {"embed", "word", "layer_0", "layer_1", "readout", "layer_1/state"}
  masks |= {"layer_0/update", "layer_1/zone_0", "layer_0/zone_1"}
  fields = {"decoder.layers": 2} | MASKED[name]
  fields |= {"dropout.zoneout": 0.2, "readout.inputs": "all"} | DROPOUTS
  decoder = build.build(config.replace(BASE, fields), VOCAB, VOCAB).decoder
  assert f"{decoder.layers_in_scan()}/{decoder.depth}" == name.split()[0]
  check_decoder(masks=masks, **fields)


def test_conditional_gru_masks_both_cells():
  check_decoder(
    masks={"layer_0/state", "layer_0_context/state", "layer_0_context/update"},
    **DROPOUTS,
    **{"encoder.cell": "gru", "decoder.placement": "cgru"},
  )
