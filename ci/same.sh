#!/usr/bin/env bash
# The default run is a simulation: shows that its results are the same bytes however it is run.
#
#   ci/same.sh           ten runs as they are, then with --jobs 1, with --jobs 64, over unix sockets, and beside sixteen
#                        busy loops
#   ci/same.sh --short   one as it is, one with --jobs 64 beside four busy loops, one over unix sockets
#
# Compared are results.json apart from the start and the durations, and for the probes of one protocol every transcript,
# with its times. Only root may claim the credentials of others through the kernel: without it the run over unix sockets
# is left out, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

seed=7
work=$(mktemp -d)
loops=()
trap 'for pid in "${loops[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT

cargo build --release --locked --quiet -p cli
wireskew="${CARGO_TARGET_DIR:-target}/release/wireskew"

# results <name> <argument>...: runs the default matrix, and keeps what must be the same.
results() {
  local name=$1 status=0
  shift
  "$wireskew" run --quiet --seed "$seed" --results "$work/$name" "$@" >"$work/$name.out" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    tail -n 40 "$work/$name.out" >&2
    say "$name: the run ended with $status"
    exit 1
  fi
  sed -E '/^ *"(started|duration-ms)": /d' "$work/$name/results.json" >"$work/$name.json"
}

# same <name> <argument>...: the same with these arguments as without.
same() {
  local name=$1
  results "$@"
  if ! cmp -s "$work/plain.json" "$work/$name.json"; then
    diff "$work/plain.json" "$work/$name.json" | head -n 40 >&2 || true
    say "$name: NOT the same bytes"
    exit 1
  fi
  printf 'same   %s\n' "$name"
}

# transcripts <name> <argument>...: every transcript of the probes of one protocol.
transcripts() {
  local name=$1
  shift
  "$wireskew" run --quiet --seed "$seed" --results "$work/$name" --keep-all "$@" 'lxc-command/probe..*/probe/**' >/dev/null
}

busy() {
  local count=$1
  for _ in $(seq "$count"); do
    sh -c 'while :; do :; done' &
    loops+=("$!")
  done
}

idle() {
  for pid in "${loops[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait "${loops[@]}" 2>/dev/null || true
  loops=()
}

unix() {
  if [ "$(id -u)" -eq 0 ]; then same "over-unix-sockets" --transport unix; else printf 'NOT RUN over-unix-sockets: needs root\n'; fi
}

results plain
case "${1:-}" in
  --short)
    busy 4
    same "jobs-64-under-load" --jobs 64
    idle
    unix
    ;;
  "")
    for n in 2 3 4 5 6 7 8 9 10; do same "run-$n"; done
    same "jobs-1" --jobs 1
    same "jobs-64" --jobs 64
    unix
    busy 16
    same "under-load" 
    same "jobs-64-under-load" --jobs 64
    idle
    ;;
  *)
    say "usage: ci/same.sh [--short]"
    exit 2
    ;;
esac
transcripts transcripts-1
transcripts transcripts-2 --jobs 1
diff -r "$work/transcripts-1/transcripts" "$work/transcripts-2/transcripts" >&2
printf 'same   %s transcripts\n' "$(find "$work/transcripts-1/transcripts" -name '*.wire' | wc -l)"
