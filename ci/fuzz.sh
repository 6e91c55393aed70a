#!/usr/bin/env bash
# Fuzzes every target for a fixed time and prints how fast it went, then proves that the fuzzer finds
# a defect in each framing when there is one.
#
#   FUZZ_SECONDS     time for each target (default 20)
#   FUZZ_TOOLCHAIN   toolchain with sanitizers (default nightly)
#
# A crash ends the run with an error; the input is in fuzz/artifacts/<target>/, and goes minimised to
# fuzz/regressions/<target>/ (see the README there).
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-20}
toolchain=${FUZZ_TOOLCHAIN:-nightly}

# libFuzzer itself is C++ that the `cc` crate would build with our sanitizer flags; it is not what is
# tested, and without them it runs twice as fast.
export CXXFLAGS="${CXXFLAGS:-} -fno-sanitize=all"
# The workspace forbids unsafe code, so that no pointer outlives a stack frame; looking for that costs
# a third of the speed. All else of AddressSanitizer is on.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=0}"

# Optimised, with checked arithmetic (fuzz/Cargo.toml) and without tracing of comparisons: heads have no
# magic numbers beyond those in the seeds and the dictionary. After a million runs of lxc_decode the
# coverage is the same, and they take two thirds of the time.
flags=(-O --no-trace-compares)

say() { printf '%s\n' "$*" >&2; }

if ! cargo "+$toolchain" --version >/dev/null 2>&1; then
  say "installing toolchain $toolchain"
  rustup toolchain install "$toolchain" --profile minimal
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
  say "installing cargo-fuzz"
  cargo install cargo-fuzz --locked
fi

say "making seeds of the fixtures"
cargo run --quiet --manifest-path fuzz/Cargo.toml --example seeds >&2

say "building the targets"
cargo "+$toolchain" fuzz build "${flags[@]}" >&2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fuzz <target> <corpus> <libFuzzer option>...; leaves the log and the times in $work.
fuzz() {
  local target=$1 corpus=$2
  shift 2
  mkdir -p "$corpus"
  local inputs=("$corpus") folder
  for folder in "fuzz/seeds/$target" "fuzz/regressions/$target"; do
    if [ -d "$folder" ]; then inputs+=("$folder"); fi
  done
  local TIMEFORMAT='%U %S'
  { time cargo "+$toolchain" fuzz run "${flags[@]}" "$target" "${inputs[@]}" -- \
    -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=64 -rss_limit_mb=2048 \
    -print_final_stats=1 "$@" >"$work/log" 2>&1; } 2>"$work/times"
}

run() {
  local target=$1
  shift
  if ! fuzz "$target" "fuzz/corpus/$target" "$@"; then
    tail -n 60 "$work/log" >&2
    say "$target: FAILED"
    exit 1
  fi
  # The units of the final statistics, over wall-clock time and over the time that a core worked.
  local units
  units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
  awk -v target="$target" -v units="${units:-0}" -v seconds="$seconds" '
    { printf "%-22s %9d runs  %7d exec/s  %7d exec/s per core\n", target, units, units / seconds, units / ($1 + $2)
      exit units == 0 }' "$work/times"
}

# Looking for a smaller input with each old feature costs a quarter of so quick a target.
run lxc_decode -max_len=384 -reduce_inputs=0
run lxc_round_trip -max_len=384
run lxc_structured -max_len=512
run libvirt_decode -max_len=384 -reduce_inputs=0
run libvirt_round_trip -max_len=384
run libvirt_structured -max_len=512
run ttrpc_decode -max_len=384 -reduce_inputs=0
run ttrpc_round_trip -max_len=384
run ttrpc_structured -max_len=512
run http1_decode -max_len=512 -reduce_inputs=0 -dict=fuzz/http1.dict
run http1_round_trip -max_len=512 -dict=fuzz/http1.dict
run http1_structured -max_len=512
run multiplex -max_len=384 -reduce_inputs=0
run json_decode -max_len=384 -reduce_inputs=0
run json_values -max_len=384 -reduce_inputs=0 -dict=fuzz/json.dict
run json_dissect -max_len=512 -dict=fuzz/json.dict
run protobuf_walk -max_len=512
run protobuf_schema -max_len=1024
run dissect -max_len=512
run fixture_parse -max_len=2048 -dict=fuzz/fixture_parse.dict

# A fuzzer that finds nothing proves nothing: from an empty corpus, it must find a lost byte in time.
proves() {
  local target=$1
  shift
  if fuzz "$target" "$work/corpus-$target" -max_len=384 -reduce_inputs=0 -artifact_prefix="$work/$target-" \
    -print_final_stats=0 "$@"; then
    say "$target: NOT FOUND within $seconds s; this run proves nothing"
    exit 1
  fi
  if ! grep -q 'every byte is in a frame or left over\|splits do not matter\|a frame keeps its bytes' "$work/log" ||
    ! compgen -G "$work/$target-crash-*" >/dev/null; then
    tail -n 60 "$work/log" >&2
    say "$target: failed, but not by the lost byte"
    exit 1
  fi
  printf '%-22s found, as it must be\n' "$target"
}
proves planted_defect
proves libvirt_planted_defect
proves ttrpc_planted_defect
proves http1_planted_defect -dict=fuzz/http1.dict
proves json_planted_defect
