"""Puts `configs/` into the wheel, as `seq2seq_jax/configs`.

All else is in pyproject.toml.
"""

import pathlib
import shutil

import setuptools
from setuptools.command import build_py


class BuildWithConfigs(build_py.build_py):
  """Also copies the experiments and suites, unless the build is editable."""

  def run(self) -> None:
    super().run()
    if self.editable_mode:
      return
    folder = pathlib.Path("configs")
    for file in sorted(folder.rglob("*.py")):
      target = pathlib.Path(self.build_lib, "seq2seq_jax", file)
      target.parent.mkdir(parents=True, exist_ok=True)
      shutil.copyfile(file, target)


setuptools.setup(cmdclass={"build_py": BuildWithConfigs})
