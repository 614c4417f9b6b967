"""Letters to phones on CMUdict: with and without attention, and its windows.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds g2p_cmudict
    python -m seq2seq_jax.ablate configs/ablations/g2p_cmudict.py \\
      --workdir runs/g2p_cmudict

Yao & Zweig 2015 (arXiv 1506.00196) without attention, Toshniwal & Livescu 2016
(arXiv 1610.06540) with it, g2p-seq2seq with two sizes. The figure is the share
of words that are right; published word error rates stand beside it as
100 less the rate.

To be seen: the larger of g2p-seq2seq's models is the better one. Attention
better by 3 points, both directions better than one, an ensemble better than one
model: recalled, unconfirmed, and not judged.
"""

from seq2seq_jax.ablation import orderings, suite

NONE = "--model.attention.score none --model.decoder.input_feeding False"
ONE_WAY = "--model.encoder.direction forward"
G2P_SEQ2SEQ = f"""
  {ONE_WAY} --model.attention.score additive --model.decoder.placement bahdanau
"""
WINDOW = "--model.attention.window_size 2"
SMOKE = """
  --data.buckets 1
  --data.limit 2000 --data.holdout 100 --train.steps 60
  --train.validate_every 60 --decode.beam_size 1
"""
CPU = """
  --data.limit 20000 --data.holdout 1000 --train.steps 2000
  --train.validate_every 500 --data.batch_size 64
"""


def _size(layers: int, n: int) -> str:
  return (
    f"--model.encoder.layers {layers} --model.decoder.layers {layers} "
    f"--model.embed_dim {n} --model.encoder.dim {n} --model.decoder.dim {n} "
    f"--model.attention.dim {n} --model.readout.dim {n}"
  )


def get_ablation() -> suite.Ablation:
  def known(name):
    return f"g2p/cmudict_accuracy/{name}"

  rows = (
    suite.Row(
      "no attention, one direction",
      f"{NONE} {ONE_WAY}",
      known("encoder-decoder LSTM, 1 layer"),
    ),
    suite.Row("no attention, both directions", NONE),
    suite.Row("global, one direction", ONE_WAY),
    suite.Row("global", (), known("attention, global")),
    suite.Row(
      "local-m",
      f"{WINDOW} --model.attention.window monotonic",
      known("attention, local-m"),
    ),
    suite.Row(
      "local-p",
      f"{WINDOW} --model.attention.window predictive",
      known("attention, local-p"),
    ),
    suite.Row(
      "global, sampling 0.1",
      "--optim.sampling constant --optim.sampling_rate 0.9",
    ),
    suite.Row(
      "ensemble of 5",
      (),
      known("attention, global, ensemble of 5"),
      ensemble=5,
    ),
    *(
      suite.Row(
        f"LSTM 2 x {n}",
        f"{G2P_SEQ2SEQ} {_size(2, n)}",
        known(f"g2p-seq2seq LSTM 2 x {n}"),
      )
      for n in (64, 512)
    ),
  )
  few = ("no attention, one direction", "global", "local-m", "LSTM 2 x 64")
  small = tuple(
    row.name for row in rows if row.name not in ("LSTM 2 x 512", "local-p")
  )
  return suite.Ablation(
    title="CMUdict",
    paper=(
      "Yao & Zweig 2015 (arXiv 1506.00196), Toshniwal & Livescu 2016 (arXiv "
      "1610.06540)"
    ),
    base="g2p_cmudict.py",
    rows=rows,
    metric="exact_match",
    metrics=("wer",),
    reference="global",
    orderings=(
      orderings.above("LSTM 2 x 512", "LSTM 2 x 64"),
      orderings.above(
        "global", "no attention, one direction", by=3, judged=False
      ),
      orderings.above("global", "global, one direction", judged=False),
      orderings.alike("local-m", "global", 1, judged=False),
      orderings.above("ensemble of 5", "global", judged=False),
    ),
    scales={
      "smoke": tuple(SMOKE.split()),
      "cpu": tuple(CPU.split()),
      "gpu": (),
    },
    rows_by_scale={"smoke": few, "cpu": small},
    bins=(5, 8, 11),
    note=(
      "Of a word's pronunciations the closest one counts. One layer of 256; "
      "Toshniwal and Livescu have three of 512 (as recalled). Windows reach 2 "
      "letters to either side, since words have 7. Further metric: wer, of "
      "phones. Scale cpu: 20,000 of 113,438 pronunciations."
    ),
  )
