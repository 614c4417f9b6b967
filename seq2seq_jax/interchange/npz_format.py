"""Format `npz`: arrays named by our own paths, and a config beside them.

The archive is what `train.init_from` takes. The config is a config.json or a
Python file; the tokenizers are those of a folder or of another workdir.
"""

import pathlib

from seq2seq_jax import archives, config, records, types
from seq2seq_jax.data import vocabulary
from seq2seq_jax.interchange import formats, imported


def read(path: pathlib.Path, options: formats.Options) -> imported.Imported:
  """The model of an archive of arrays.

  Args:
    path: of the archive.
    options: `config`, by default config.json beside the archive; `vocabulary`,
      a folder with source.json and target.json or a workdir, by default
      tokenizers/ beside the archive.

  Raises:
    types.UserError: a file is missing or is none.
  """
  conf = _config(options.config or path.parent / "config.json")
  folder = options.vocabulary or path.parent / "tokenizers"
  if (folder / "tokenizers").is_dir():
    folder = folder / "tokenizers"
  vocabularies = vocabulary.load(conf.data, folder, conf.model.copies())
  transfer = imported.Transfer(archives.read(path), path)
  for name in transfer.arrays:
    if not name.startswith("params/"):
      raise types.UserError(
        f"{path}: {name} is no path of a parameter, as "
        "params/decoder/layer_0/kernel is"
      )
    transfer.move(name, name.removeprefix("params/"))
  return transfer.result(conf, vocabularies)


def _config(path: pathlib.Path) -> config.Config:
  if path.suffix == ".py":
    return config.load(path)
  return config.from_json(records.content(path), str(path))
