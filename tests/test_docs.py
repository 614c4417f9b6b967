"""What the documentation names is there."""

import pathlib
import re

import pytest

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
  *sorted(ROOT.glob("*.md")),
  *sorted((ROOT / "docs").glob("*.md")),
  *sorted((ROOT / "seq2seq_jax").rglob("*.md")),
]
# A path with a folder or an ending that only files have; no placeholders.
PATH = re.compile(r"`([\w.*/-]+(?:\.(?:py|md|yaml|sh|j2|css|cff|txt)|/))`")
# What a workdir or a user's own folder holds.
ELSEWHERE = {
  *("checkpoints/", "tokenizers/", "tensorboard/", "figures/", "extensions/"),
  *("configs/x.py", "configs/ablations/x.py", "utils.py", "file.py"),
  *("table.md", ".venv/", "dist/", "build/", "runs/"),
}


@pytest.mark.parametrize(
  "page", PAGES, ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_file_that_a_page_names_exists(page):
  missing = []
  for name in PATH.findall(page.read_text()):
    bare = "/" not in name and any(
      any((ROOT / folder).rglob(name)) for folder in ("seq2seq_jax", "configs")
    )
    folders = (ROOT, ROOT / "seq2seq_jax", page.parent)
    exists = bare or any(list(folder.glob(name)) for folder in folders)
    if not exists and name not in ELSEWHERE and not name.startswith("WORKDIR/"):
      missing.append(name)
  assert missing == []
