"""AN4: CTC in training and in search, and a language model.

    python -m seq2seq_jax.data.manifest an4 FOLDER --out data/an4
    python -m seq2seq_jax.ablate configs/ablations/an4_ctc.py \\
      --workdir runs/an4_ctc --data.root data/an4

The language model is trained first, at runs/an4_lm, as the header of
`configs/an4_lm.py` says; without it the rows with LM fail, and no other.

`configs/an4.py`, trained with half of CTC in its objective (Watanabe et al.
2017) and without, at equal updates. The rows with CTC differ in search alone
and share their trainings: attention alone, half of CTC's score, CTC alone, and
each of the last two with a language model of the 848 transcripts (shallow
fusion). Published numbers of ESPnet's recipe stand beside those that are
searched alike; its models are larger, and its language models are of words.

To be seen: without CTC in training at least twice the errors; a language model
lowers the word error rate.
"""

from seq2seq_jax.ablation import orderings, suite

# Weights with the fewest word errors on the validation set (`rescore` of one
# run's n-best lists); a language model asks for a reward of every character.
LM = suite.command_line(
  """
  --decode.lm runs/an4_lm --decode.lm_weight 0.5
  --decode.length_rule word_reward --decode.alpha 1.0
  """
)
JOINT = ("--decode.ctc_weight", "0.5")
ALONE = ("--decode.ctc_weight", "1.0")
NONE = ("--decode.ctc_weight", "0.0")

SMOKE = """
  --data.limit 64 --data.buckets 1 --data.max_source_length 250
  --model.embed_dim 8 --model.encoder.dim 16 --model.decoder.dim 16
  --model.attention.dim 16 --model.readout.dim 16
  --model.encoder.front_end_channels 4
  --train.steps 20 --train.validate_every 20
  --decode.beam_size 1 --decode.max_ratio 0.0 --decode.length_step 1024
"""


def get_ablation() -> suite.Ablation:
  rows = (
    suite.Row("joint", JOINT, "an4/test/asr1 pytorch, CTC weight 0.5"),
    suite.Row("attention alone", NONE),
    suite.Row("CTC alone", ALONE, "an4/test/asr1 pytorch, CTC alone"),
    suite.Row("joint, LM", (*JOINT, *LM), "an4/test/asr2, CTC weight 0.5, LM"),
    suite.Row("attention alone, LM", (*NONE, *LM), reference="attention alone"),
    suite.Row(
      "CTC alone, LM",
      (*ALONE, *LM),
      "an4/test/asr2, CTC alone, LM",
      reference="CTC alone",
    ),
    suite.Row(
      "no CTC in training", (*NONE, "--optim.objectives", "likelihood")
    ),
  )
  none = "no CTC in training"
  return suite.Ablation(
    title="AN4, CTC in training and in search",
    paper="after Watanabe et al. 2017 (Hybrid CTC/attention architecture)",
    base="an4.py",
    rows=rows,
    metric="cer",
    metrics=("wer", "ser", "cut"),
    reference="joint",
    orderings=(
      *(
        orderings.Ordering(
          f"{none}: at least twice the errors of {other}",
          (orderings.Term(-1, none), orderings.Term(2, other)),
        )
        for other in ("joint", "attention alone")
      ),
      orderings.above("joint", "attention alone"),
      orderings.below("joint, LM", "joint", "wer"),
      orderings.below("CTC alone, LM", "CTC alone", "wer"),
      orderings.at_most("joint", 15.3),
    ),
    scales={"smoke": tuple(SMOKE.split()), "cpu": (), "gpu": ()},
    rows_by_scale={
      "smoke": ("joint", "attention alone", "CTC alone", "no CTC in training")
    },
    checkpoint="last",
    bins=(),
    note=(
      "ESPnet: 13.8 M parameters or more, and a language model of words. Here "
      "1.3 M, and one of characters, trained on the 848 transcripts; beam 10. "
      "The last checkpoint is scored, so that no search has chosen it."
    ),
  )
