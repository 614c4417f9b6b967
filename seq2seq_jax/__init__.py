"""Recurrent encoder-decoder models in JAX.

    import seq2seq_jax as s2s
    config = s2s.load_config("configs/scan_simple.py", ["--train.steps", "300"])
    run = s2s.fit(config, "runs/x")
    model = s2s.load("runs/x")
    model.translate(["jump twice"], beam_size=5)

Each public name is imported when it is first used, so that `import seq2seq_jax`
stays fast and opens no device.
"""

import importlib
import logging
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from seq2seq_jax.ablation.run import run_ablation as run_ablation
  from seq2seq_jax.config.experiment import Config as Config
  from seq2seq_jax.config.overrides import load_config as load_config
  from seq2seq_jax.data.audio import read_manifest as read_manifest
  from seq2seq_jax.inference.model import load as load
  from seq2seq_jax.inference.replicas import evaluate as evaluate
  from seq2seq_jax.training.loop import fit as fit

__version__ = "0.1.0"

# Public name -> the module and the attribute that it stands for. `evaluate` is
# the command's module, which can be called: importing the command would put the
# module in a function's place anyway.
_PUBLIC = {
  "Config": ("seq2seq_jax.config.experiment", "Config"),
  "evaluate": ("seq2seq_jax.evaluate", None),
  "fit": ("seq2seq_jax.training.loop", "fit"),
  "load": ("seq2seq_jax.inference.model", "load"),
  "load_config": ("seq2seq_jax.config.overrides", "load_config"),
  "read_manifest": ("seq2seq_jax.data.audio", "read_manifest"),
  "run_ablation": ("seq2seq_jax.ablation.run", "run_ablation"),
}
__all__ = [
  "Config",
  "__version__",
  "evaluate",
  "fit",
  "load",
  "load_config",
  "read_manifest",
  "run_ablation",
]

# `python -m seq2seq_jax.train` has this name while it imports the package.
# Until the command answers signals itself (`exits`), Ctrl-C ends it in silence.
if sys.argv[:1] == ["-m"] and (
  signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
  signal.signal(signal.SIGINT, signal.SIG_DFL)

# Silent unless a program asks for messages (`runtime.log.show`).
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
  """Imports a public name when it is first used (PEP 562)."""
  if name not in _PUBLIC:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  module, attribute = _PUBLIC[name]
  value: Any = importlib.import_module(module)
  if attribute is not None:
    value = getattr(value, attribute)
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted({*globals(), *_PUBLIC})
