#!/usr/bin/env bash
# Every dependency has a user: each entry of a Cargo.toml is named in the code that may use it, and each entry of the
# workspace in a crate's Cargo.toml. A name in a comment counts too; this is a search and no compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

# entries <section> <Cargo.toml>: the names in a section.
entries() {
  awk -v section="[$1]" '/^\[/ { inside = $0 == section } inside && match($0, /^[A-Za-z0-9_-]+/) { print substr($0, 1, RLENGTH) }' "$2"
}

# named <crate> <folder>...: whether Rust code in one of the folders that are there names it.
named() {
  local crate=${1//-/_} folders=() folder
  shift
  for folder in "$@"; do
    if [ -d "$folder" ]; then folders+=("$folder"); fi
  done
  grep -rqE --include='*.rs' "\b$crate::|\buse $crate\b" "${folders[@]}"
}

unused=0
nobody() {
  printf '%s: nobody uses `%s` of [%s]; take the line out\n' "$1" "$3" "$2" >&2
  unused=1
}

mapfile -t manifests < <(find harness fuzz -name Cargo.toml -not -path '*/target/*' | sort)
for manifest in "${manifests[@]}"; do
  folder=${manifest%/Cargo.toml}
  for name in $(entries dependencies "$manifest"); do
    named "$name" "$folder/src" "$folder/fuzz_targets" || nobody "$manifest" dependencies "$name"
  done
  for name in $(entries dev-dependencies "$manifest"); do
    named "$name" "$folder/src" "$folder/tests" "$folder/benches" || nobody "$manifest" dev-dependencies "$name"
  done
done
for name in $(entries workspace.dependencies Cargo.toml); do
  grep -qE "^$name( |\.)" "${manifests[@]}" || nobody Cargo.toml workspace.dependencies "$name"
done
exit "$unused"
