"""Multi30k, English to German, the text-only system of LIUM-CVC (WMT 2017).

Caglayan et al. 2017 (arXiv 1707.04481), the recipe of their published
`monomodal-en-de.conf`: a layer-normalised bidirectional GRU, a conditional GRU
decoder (two cells with the attention between them), a joint BPE of 10,000.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.train configs/multi30k_lium_ende.py \\
      --workdir runs/lium_ende
    python -m seq2seq_jax.evaluate --workdir runs/lium_ende

Hardware: one GPU, about an hour, or a day on two CPU cores (an estimate). Not
trained here. Published on test_2016, in lower-cased tokenised BLEU: 39.00 for a
single run (read in their README); 38.1 +- 0.8 over runs (recalled,
unconfirmed).

What differs: SentencePiece's BPE, whose 10,000 pieces are one vocabulary for
both sides (theirs: 10,000 merges, a vocabulary a side); the best checkpoint and
the end are chosen by BLEU, not by METEOR; the text was lower-cased before it
was tokenised; batches are made by length. Their dropout of 0.5 on the encoder's
output falls on the decoder's state too. Layer normalisation is in the encoder
alone: their code turns it off in the conditional GRU (`--model.decoder.cell
same` has it in both). Beam 12 is that code's default.
"""

from seq2seq_jax import config
from seq2seq_jax.config import presets


def get_config() -> config.Config:
  return config.Config(
    data=presets.multi30k(
      "en",
      "de",
      source=config.Text(tokenizer="bpe", vocab_size=10000),
      joint=True,
      batch_size=32,
      buckets=5,
    ),
    model=config.Model(
      embed_dim=128,
      encoder=config.Encoder(
        cell="ln_gru",
        dim=256,
        direction="both",
      ),
      decoder=config.Decoder(
        cell="gru",
        dim=256,
        bridge="mean",
        placement="cgru",
        input_feeding=False,
      ),
      attention=config.Attention(
        score="additive",
        dim=512,
      ),
      readout=config.Readout(
        kind="tanh",
        dim=128,
        inputs="all",
      ),
      dropout=config.Dropout(
        embed=0.3,
        rnn=0.5,
        readout=0.5,
      ),
      init=config.Init(weights="xavier"),
    ),
    optim=config.Optim(
      optimizer="adam",
      learning_rate=4e-4,
      weight_decay=1e-5,
      clip_norm=5.0,
      normalize="sentences",
    ),
    train=config.Train(
      # At most 100 epochs of 907 updates.
      steps=90700,
      validate_every=1000,
      metric="bleu",
      metrics=("chrf",),
      bleu_tokenize="none",
      patience=10,
      keep_best=3,
    ),
    decode=config.Decode(beam_size=12, length_rule="average", alpha=1.0),
  )
