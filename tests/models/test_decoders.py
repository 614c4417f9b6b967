"""Decoders against a loop over sentences in float64."""

import dataclasses

import pytest

from seq2seq_jax.models import build
from tests.helpers.oracle_decoder import BASE, DROPOUTS, VOCAB, check_decoder

pytestmark = pytest.mark.usefixtures("strict")

PLACES = ("after", "before", "between", "bottom", "bottom_previous")
FEEDS = ("none", "readout", "context")
READS = ("tanh", "maxout", "linear")
INPUTS = ("state", "state_context", "all")
# With cells and scores spread over them, and every readout with every input.
SPREAD = {
  "cell": ("lstm", "gru", "gru_bahdanau", "ln_lstm", "sru"),
  "attention": (
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
    "placement": place,
    "input_feeding": feed != "none",
    "feed": "readout" if feed == "none" else feed,
    "readout": READS[(i + j) % 3],
    "readout_inputs": INPUTS[(i + 2 * j) % 3],
    "decoder_layers": 2 if place.startswith("bottom") else 1 + (i + j) % 3,
  }
  for name, choices in SPREAD.items():
    changes[name] = choices[(3 * i + j) % len(choices)]
  check_decoder(**changes)


GRADIENTS = {
  "luong": {"attention": "general"},
  "bahdanau": {
    "cell": "gru_bahdanau",
    "attention": "additive",
    "placement": "before",
    "input_feeding": False,
    "readout": "maxout",
    "readout_inputs": "all",
    "readout_state": "previous",
    "bridge": "mean",
  },
  "conditional_gru": {
    "cell": "gru",
    "attention": "additive",
    "placement": "between",
    "input_feeding": False,
    "readout_inputs": "all",
    "transition_depth": 2,
  },
  "gnmt": {
    "attention": "normed_additive",
    "placement": "bottom_previous",
    "input_feeding": False,
    "readout": "linear",
    "decoder_layers": 3,
    "residual": "add",
    "residual_start": 2,
  },
  "gnmt_v2": {
    "attention": "normed_additive",
    "placement": "bottom",
    "input_feeding": False,
    "readout": "linear",
    "readout_inputs": "state",
    "decoder_layers": 3,
    "residual": "add",
    "residual_start": 3,
  },
  "nvidia_gnmt": {
    "attention": "normed_additive",
    "placement": "bottom_unfed",
    "input_feeding": False,
    "readout": "linear",
    "readout_inputs": "state",
    "decoder_layers": 4,
    "residual": "add",
    "residual_start": 3,
  },
  "deep_luong_all_at_once": {
    "attention": "general",
    "input_feeding": False,
    "decoder_layers": 3,
    "residual": "dense",
    "cell": "gru",
  },
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_published_decoders(name):
  check_decoder(slopes=True, **GRADIENTS[name])


MORE = {
  "previous_tanh": {"readout_state": "previous", "placement": "before"},
  "previous_linear_deep": {
    "readout_state": "previous",
    "placement": "before",
    "readout": "linear",
    "readout_inputs": "all",
    "feed": "context",
    "decoder_layers": 2,
    "residual": "add",
  },
  "dense_residual": {
    "decoder_layers": 3,
    "residual": "dense",
    "residual_start": 2,
  },
  "monotonic_all_at_once": {
    "attention_window": "monotonic",
    "input_feeding": False,
  },
  "predictive_sparsemax": {
    "attention_window": "predictive",
    "attention_norm": "sparsemax",
    "placement": "between",
    "attention": "concat",
  },
  "none_start": {"attention": "none", "input_feeding": False},
  "none_every_step": {
    "attention": "none",
    "context_at": "every_step",
    "bridge": "zero",
    "cell": "ln_gru",
  },
  "none_all_start": {"attention": "none", "context": "all"},
  "none_all_both": {
    "attention": "none",
    "context": "all",
    "context_at": "both",
    "decoder_layers": 2,
    "readout": "linear",
    "readout_inputs": "all",
  },
  "mixed_cells": {
    "cell": "gru",
    "decoder_cell": "lstm",
    "encoder_layers": 2,
    "decoder_layers": 3,
  },
}


@pytest.mark.parametrize("name", MORE)
def test_other_decoders_equal_a_loop(name):
  check_decoder(**MORE[name])


MASKED = {  # how many layers are looped over together, of how many
  "0/2": {"input_feeding": False},
  "2/2": {"input_feeding": True},
  "2/2 before": {"placement": "before", "feed": "context"},
  "0/3 bottom_unfed": {
    "placement": "bottom_unfed",
    "input_feeding": False,
    "decoder_layers": 3,
  },
  "1/3 bottom_previous": {
    "placement": "bottom_previous",
    "input_feeding": False,
    "decoder_layers": 3,
    "residual": "add",
    "residual_start": 3,
  },
  "1/2 between": {"placement": "between", "feed": "context"},
  "2/2 pointer": {"placement": "bottom", "feed": "context", "head": "pointer"},
}


@pytest.mark.parametrize("name", MASKED)
def test_decoder_with_masks_equals_a_loop(name):
  """Whatever part of the steps is looped over, and what is made at once."""
  masks = {"embed", "word", "layer_0", "layer_1", "readout", "layer_1/state"}
  masks |= {"layer_0/update", "layer_1/zone_0", "layer_0/zone_1"}
  fields = {"decoder_layers": 2} | MASKED[name]
  fields |= {"zoneout": 0.2, "readout_inputs": "all"} | DROPOUTS
  decoder = build.build(
    dataclasses.replace(BASE, **fields), VOCAB, VOCAB
  ).decoder
  assert f"{decoder.looped()}/{decoder.layers}" == name.split()[0]
  check_decoder(masks=masks, **fields)


def test_conditional_gru_masks_both_cells():
  check_decoder(
    masks={"layer_0/state", "layer_0_context/state", "layer_0_context/update"},
    cell="gru",
    placement="between",
    **DROPOUTS,
  )
