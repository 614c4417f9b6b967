"""How each interval and p of a table is computed, in words.

A table keeps its rules, so that it still says how its numbers came about when
the rules have changed. docs/statistics.md has the formulas.
"""

from seq2seq_jax.ablation import statistics

INTERVAL = (
  "Student's t over seeds and test sentences with Satterthwaite's degrees of "
  "freedom, or over seeds alone (Welch) where that is wider; of a single score "
  "that has bounds the exact binomial or Poisson interval of as much variance, "
  "never outside of them; of a difference of such scores cut at what it can "
  "be; two sentences that differ count beside those seen, so that the interval "
  "has a width where nothing varied"
)
P = (
  "two-sided p of no difference from the distribution of the interval, so "
  "below 0.05 exactly where the 95 % interval leaves out 0"
)
TIES = (
  "draws that are equal to the observed difference count (Riezler & Maxwell "
  "2005), (count + 1) / (draws + 1); SacreBLEU leaves them out"
)
# By the names of the fields in table.json and table.csv.
NAMES = {
  "interval": INTERVAL,
  "p_raw": P,
  "p": "the same after Holm's correction over the rows of the table",
  "p of claims": (
    "two-sided p of the bound that the claim clears or misses, likewise; after "
    "Holm's correction over the claims that are judged"
  ),
  "p_bootstrap": (
    f"paired bootstrap over test sentences alone (Koehn 2004), "
    f"{statistics.RESAMPLES:,} resamples, centred, two-sided; {TIES}"
  ),
  "p_randomisation": (
    f"approximate randomisation of test sentences alone, "
    f"{statistics.TRIALS:,} trials, two-sided; {TIES}"
  ),
}
