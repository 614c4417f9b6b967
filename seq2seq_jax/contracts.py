"""Protocols between the layers: what each promises, with shapes.

Shape letters are those of `types.py`.
"""

# Side: one side of an example (data).

# Encoder, Decoder, Head, Score (models).

# StepFn: what search is handed (decoding).

# Objective: a term of the loss (training).
