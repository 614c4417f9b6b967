"""Recurrent encoder-decoder models in JAX."""

import logging

__version__ = "0.1.0"

# Silent unless a program asks for messages (`runtime.log.show`).
logging.getLogger(__name__).addHandler(logging.NullHandler())
