#!/usr/bin/env bash
# Several processes on this machine that train one run together:
#   launch/processes.sh 2 train configs/scan_simple.py --workdir runs/scan
# PYTHON chooses the interpreter (python). Ctrl-C and SIGTERM ask all of them to
# save and stop; where one fails, the others are stopped, and its exit status is
# returned. Needs bash 5.1.
set -euo pipefail

count=${1:-}
if ! [[ $count =~ ^[1-9][0-9]*$ ]] || [ $# -lt 2 ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
module=$2
shift 2
python=${PYTHON:-python}
port=$("$python" -c '
import socket
with socket.socket() as s:
  s.bind(("localhost", 0))
  print(s.getsockname()[1])')

processes=() stopped=
# A terminal's Ctrl-C reaches them too, and a second SIGINT would end them at
# once; a second SIGTERM changes nothing.
stop() {
  stopped=yes
  kill -TERM "${processes[@]}" 2>/dev/null || true
}
trap stop INT TERM
for ((i = 0; i < count; i++)); do
  [ -z "$stopped" ] || exit 130
  # The first one reads standard input, which bash takes away from jobs.
  if [ "$i" -eq 0 ]; then exec 3<&0; else exec 3</dev/null; fi
  SEQ2SEQ_JAX_COORDINATOR=localhost:$port SEQ2SEQ_JAX_PROCESSES=$count \
    SEQ2SEQ_JAX_PROCESS=$i "$python" -m "seq2seq_jax.$module" "$@" <&3 3<&- &
  processes+=($!)
done

status=0
left=$count
while [ "$left" -gt 0 ]; do
  ended=
  code=0
  wait -n -p ended || code=$?
  [ -n "${ended:-}" ] || continue # a signal, not an end
  left=$((left - 1))
  if [ "$code" -ne 0 ] && [ "$status" -eq 0 ]; then
    status=$code
    stop
  fi
done
exit "$status"
