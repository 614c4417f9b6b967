"""AN4: how the encoder shortens speech, and how wide the model is.

    python -m seq2seq_jax.data.manifest an4 FOLDER --out data/an4
    python -m seq2seq_jax.ablate configs/ablations/an4_encoders.py \\
      --workdir runs/an4_encoders --data.root data/an4

`configs/an4.py` reads a quarter of the frames behind two convolutions. Beside
it: pyramids (Chan et al. 2016), by concatenation or by the maximum of pairs
(Zeyer et al. 2018), which read a quarter or an eighth; four frames stacked into
one; half and twice the width; one layer and three. All are trained alike, with
half of CTC, and searched jointly. The scale gpu also reads every frame.

To be seen: wider is better; an eighth of the frames is too few for characters,
as 51 of 848 utterances then have fewer positions than CTC needs; reading every
frame is worse than reading a quarter at equal updates.
"""

from seq2seq_jax.ablation import orderings, suite

JOINT = ("--decode.ctc_weight", "0.5")
NO_FRONT_END = ("--model.encoder.front_end", "none")
STACKED = """
  --data.audio.stack 4 --data.audio.stack_step 4 --model.encoder.features 320
  --data.max_source_length 250 --decode.max_ratio 1.0
"""
# One shape of search, and a beam of one: whether the table runs at all.
SMOKE = """
  --data.limit 64 --data.buckets 1
  --model.encoder.front_end_channels 4
  --train.steps 20 --train.validate_every 20
  --decode.beam_size 1 --decode.max_ratio 0.0 --decode.length_step 1024
"""


def _pyramid(layers: int, reduction: str) -> tuple[str, ...]:
  """An encoder whose layers from the second on read pairs."""
  return (
    *NO_FRONT_END,
    *("--model.encoder.layers", str(layers)),
    *("--model.encoder.reductions", str(layers - 1)),
    *("--model.encoder.reduction", reduction),
  )


def _width(n: int) -> tuple[str, ...]:
  """One width of everything but the embeddings of characters."""
  return tuple(
    word
    for part in ("encoder", "decoder", "attention", "readout")
    for word in (f"--model.{part}.dim", str(n))
  )


def get_ablation() -> suite.Ablation:
  base = "convolution"
  rows = (
    suite.Row(base, (), "an4/test/asr1 pytorch, CTC weight 0.5"),
    suite.Row("pyramid of 4", _pyramid(3, "concat")),
    suite.Row("pyramid of 4, maximum", _pyramid(3, "max")),
    suite.Row("pyramid of 8", _pyramid(4, "concat")),
    suite.Row("stacked by 4", (*NO_FRONT_END, *STACKED.split())),
    suite.Row("every frame", NO_FRONT_END),
    suite.Row("width 80", _width(80)),
    suite.Row("width 320", _width(320)),
    suite.Row("1 layer", ("--model.encoder.layers", "1")),
    suite.Row("3 layers", ("--model.encoder.layers", "3")),
  )
  names = [row.name for row in rows]
  return suite.Ablation(
    title="AN4, encoders",
    paper=(
      "after Chan et al. 2016 (arXiv 1508.01211) and Zeyer et al. 2018 (arXiv "
      "1805.03294)"
    ),
    base="an4.py",
    rows=rows,
    metric="cer",
    metrics=("wer", "ser"),
    reference=base,
    orderings=(
      *orderings.rising(("width 80", base, "width 320")),
      orderings.above(base, "pyramid of 8"),
      orderings.above("pyramid of 4", "pyramid of 8"),
      orderings.alike("pyramid of 4, maximum", "pyramid of 4", 3),
      orderings.above(base, "stacked by 4"),
      orderings.above(base, "every frame"),
      orderings.above(base, "1 layer"),
    ),
    scales={
      "smoke": (*JOINT, *SMOKE.split(), *_width(16)),
      "cpu": JOINT,
      "gpu": JOINT,
    },
    rows_by_scale={
      "smoke": (base, "pyramid of 4", "pyramid of 8", "stacked by 4"),
      "cpu": tuple(name for name in names if name != "every frame"),
    },
    checkpoint="last",
    bins=(),
    note=(
      "ESPnet: four layers of 320 units a direction behind VGG's convolutions, "
      "13.8 M parameters. Layers and width count an encoder's layers, and the "
      "units of a direction and of the decoder. The last checkpoint is scored."
    ),
  )
