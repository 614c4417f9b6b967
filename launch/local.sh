#!/usr/bin/env bash
# Sets up .venv from this project's files, then runs one of its modules:
#   launch/local.sh train configs/scan_simple.py --workdir runs/scan
#   launch/local.sh test [pytest's arguments]
# SEQ2SEQ_JAX_EXTRAS adds extras (cuda, tpu, peers, plots, ...), PYTHON chooses
# the interpreter (3.11 or newer).
#
# The programs ask glibc to keep freed memory and the system for huge pages
# (runtime/glibc.py). SEQ2SEQ_JAX_TUNE_MALLOC=0 switches that off; a site that
# prefers settings to calls exports the equivalent, from glibc 2.35 on:
#   GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.arena_max=1
#   GLIBC_TUNABLES+=:glibc.malloc.trim_threshold=18446744073709551615
#   GLIBC_TUNABLES+=:glibc.malloc.hugetlb=1
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
  for python in "${PYTHON:-}" python3 python3.12 python3.13 python3.11; do
    if [ -n "$python" ] && "$python" -c \
      'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  echo "error: no Python 3.11 or newer found; set PYTHON" >&2
  exit 1
}

command=${1:-}
if [ -z "$command" ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
shift
extras=${SEQ2SEQ_JAX_EXTRAS:-}
if [ "$command" = test ]; then
  extras="test${extras:+,$extras}"
fi

venv=${SEQ2SEQ_JAX_VENV:-.venv}
[ -x "$venv/bin/python" ] || "$(find_python)" -m venv "$venv"
versions=$(cat pyproject.toml constraints.txt | cksum)
key="$extras $versions"
if ! grep -qxF "$key" "$venv/installed" 2>/dev/null; then
  echo "setting up $venv (${extras:-no extras})" >&2
  "$venv/bin/python" -m pip install -q --disable-pip-version-check \
    -c constraints.txt -e ".${extras:+[$extras]}"
  # Extras add up; what was installed of other versions is no longer there.
  {
    grep -F " $versions" "$venv/installed" 2>/dev/null || true
    echo "$key"
  } >"$venv/installed.new"
  mv "$venv/installed.new" "$venv/installed"
fi

if [ "$command" = test ]; then
  exec "$venv/bin/python" -m pytest "$@"
fi
exec "$venv/bin/python" -m "seq2seq_jax.$command" "$@"
