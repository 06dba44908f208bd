#!/bin/bash
# Kills a run with SIGKILL at 20 random moments, resumes it each time, and compares its pareto.json
# and its trials with those of a run that was never killed; with 1 and with 2 workers. From the
# repository's root. Usage: kill_and_resume.sh [kills] [seed]
set -euo pipefail
kills=${1:-20}
RANDOM=${2:-1}
espalier=build/release/bin/espalier
config=benchmarks/experiments/kill_and_resume.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$espalier" -q search "$config" --out "$work/whole"
"$espalier" trials "$work/whole" --json >"$work/whole.json"
for workers in 1 2; do
  run=$work/killed$workers
  arguments=(-q search "$config" --out "$run" --resume --set "/compute/workers=$workers")
  for ((done = 0, killed = 0; killed < kills; ++killed)); do
    "$espalier" "${arguments[@]}" &
    pid=$!
    # Between 0.4 s (LibTorch is still being loaded) and 1.6 s.
    milliseconds=$((400 + RANDOM % 1200))
    sleep "$(printf '%d.%03d' $((milliseconds / 1000)) $((milliseconds % 1000)))"
    if ! kill -KILL $pid 2>/dev/null; then done=1; fi
    wait $pid 2>/dev/null || true
    [ $done = 0 ] || break
  done
  "$espalier" "${arguments[@]}"
  "$espalier" trials "$run" --json >"$work/killed$workers.json"
  cmp "$work/whole/pareto.json" "$run/pareto.json"
  cmp "$work/whole.json" "$work/killed$workers.json"
  echo "$workers worker(s): killed $killed times, pareto.json and trials are equal"
done
