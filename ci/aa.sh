#!/usr/bin/env bash
# A/A: the same builds twice, then the gate, in both directions. Nothing has changed, so there must be no
# such thing, also on a machine that does other work.
#
#   ci/aa.sh [TRIES]          the default matrix (default: ten tries)
#   ci/aa.sh --live [TRIES]   the live matrix of qemu-ga and lxc; needs root and the builds (ci/live.sh fetches them)
#
#   WIRESKEW_LOOPS   busy loops on the machine meanwhile (default ten)
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

args=(--matrix matrices/default.toml)
if [ "${1:-}" = --live ]; then
  shift
  args=(--matrix matrices/live.toml -E 'protocol(qemu-ga) | protocol(lxc-command)')
fi
tries=${1:-10}
case "$tries" in '' | *[!0-9]* | 0) say "usage: ci/aa.sh [--live] [TRIES]"; exit 2 ;; esac

work=$(mktemp -d)
loops=()
trap 'for pid in "${loops[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT

cargo build --release --locked --quiet -p cli
wireskew="${CARGO_TARGET_DIR:-target}/release/wireskew"

# run <name>: what is not as expected is the gate's to say. Everything else ends this.
run() {
  local status=0
  "$wireskew" run --quiet "${args[@]}" --results "$work/$1" >"$work/$1.out" 2>&1 || status=$?
  if [ "$status" -ne 0 ] && [ "$status" -ne 100 ]; then
    tail -n 30 "$work/$1.out" >&2
    say "the run ended with $status"
    exit 1
  fi
  # Nothing compared with nothing is no regression either.
  if grep -q '"outcome": "missing-build"' "$work/$1/results.json" || ! grep -q '"outcome": "pass"' "$work/$1/results.json"; then
    say "a build is missing, or nothing ran"
    exit 1
  fi
}

for _ in $(seq "${WIRESKEW_LOOPS:-10}"); do
  sh -c 'while :; do :; done' &
  loops+=("$!")
done
for try in $(seq "$tries"); do
  rm -rf "$work/a" "$work/b"
  run a
  run b
  for pair in "a b" "b a"; do
    if ! "$wireskew" gate "$work/${pair% *}/results.json" "$work/${pair#* }/results.json" >"$work/gate" 2>&1; then
      cat "$work/gate" >&2
      say "try $try: the gate is red between two runs of the same builds"
      exit 1
    fi
  done
  printf 'try %s: no regression\n' "$try"
done
