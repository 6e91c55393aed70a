#!/usr/bin/env bash
# The default run is a simulation: shows that its results are the same bytes however it is run.
#
#   ci/same.sh           ten runs as they are, then with --jobs 1, with --jobs 64, over unix sockets, as another user in
#                        another folder for temporary files, and with sixteen busy loops on the machine
#   ci/same.sh --short   one as it is, one with --jobs 64 and four busy loops on the machine, one over unix sockets, one as
#                        another user
#
# Compared are results.json apart from the start and the durations (over sockets: verdicts, outcomes and shapes), and in two
# of the runs every transcript with its times.
# Only root may claim the credentials of others through the kernel, or become another user: without it those runs are left
# out, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# A shard of the cells would be the same as itself.
unset CI_NODE_INDEX CI_NODE_TOTAL TEST_SHARD_INDEX TEST_TOTAL_SHARDS
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
  whole "$name" "$work/$name/results.json"
  sed -E '/^ *"(started|duration-ms)": /d' "$work/$name/results.json" >"$work/$name.json"
}

# whole <name> <results>: every cell of the default matrix has to be there, or nothing is compared.
cells=$("$wireskew" list | wc -l)
whole() {
  local planned
  planned=$(grep -c '^ *"cell": ' "$2")
  if [ "$cells" -lt 10000 ] || [ "$planned" -ne "$cells" ]; then
    say "$1: $planned of $cells cells; that is not the default matrix"
    exit 1
  fi
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

# transcripts <name> <argument>...: every transcript of the default run.
transcripts() {
  local name=$1
  shift
  "$wireskew" run --quiet --seed "$seed" --results "$work/$name" --keep-all "$@" >/dev/null
}

# other_user: what is the same must not depend on who runs it, or where temporary files lie.
other_user() {
  if [ "$(id -u)" -ne 0 ]; then printf 'NOT RUN as-another-user: needs root\n'; return; fi
  local place="$work/other"
  mkdir -p "$place/tmp" "$place/results"
  cp "$wireskew" "$place/wireskew"
  chmod a+rx "$work" "$place" "$place/wireskew"
  chown -R 65534:65534 "$place/tmp" "$place/results"
  if ! TMPDIR="$place/tmp" TZ=Asia/Tokyo LC_ALL=C setpriv --reuid 65534 --regid 65534 --clear-groups \
    "$place/wireskew" run --quiet --seed "$seed" --results "$place/results" >"$work/other.out" 2>&1; then
    tail -n 40 "$work/other.out" >&2
    exit 1
  fi
  whole "as-another-user" "$place/results/results.json"
  sed -E '/^ *"(started|duration-ms)": /d' "$place/results/results.json" | cmp -s - "$work/plain.json" || {
    say "as-another-user: NOT the same bytes"
    exit 1
  }
  printf 'same   as-another-user\n'
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

# judged <name>: what became of each cell. The kernel hands over bytes a moment later than memory does, so that which of two
# messages an agent sees first may differ, and with it what findings tell.
judged() {
  awk '/^ *"(cell|verdict|outcome)": / { print } /^ *"shapes": \[/ { inside = 1 } inside { print } /\]/ { inside = 0 }' "$work/$1.json"
}

unix() {
  if [ "$(id -u)" -ne 0 ]; then printf 'NOT RUN over-unix-sockets: needs root\n'; return; fi
  results "sockets" --transport unix
  judged plain >"$work/plain.judged"
  judged sockets >"$work/sockets.judged"
  if ! diff "$work/plain.judged" "$work/sockets.judged" >"$work/diff"; then
    head -n 40 "$work/diff" >&2
    say "over-unix-sockets: NOT the same verdicts"
    exit 1
  fi
  printf 'same   over-unix-sockets: verdicts and shapes\n'
}

results plain
case "${1:-}" in
  --short)
    busy 4
    same "jobs-64-under-load" --jobs 64
    idle
    unix
    other_user
    ;;
  "")
    for n in 2 3 4 5 6 7 8 9 10; do same "run-$n"; done
    same "jobs-1" --jobs 1
    same "jobs-64" --jobs 64
    unix
    other_user
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
diff -rq "$work/transcripts-1/transcripts" "$work/transcripts-2/transcripts" >&2
count=$(find "$work/transcripts-1/transcripts" -name '*.wire' | wc -l)
[ "$count" -gt 10000 ] || { say "only $count transcripts"; exit 1; }
printf 'same   %s transcripts\n' "$count"
