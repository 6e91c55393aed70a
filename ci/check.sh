#!/usr/bin/env bash
# What a pull request must pass on any machine with a Rust toolchain beside the tests: formatting, no dependency without
# a user, lints, the lock of messages and the selftest. Needs neither root nor network once the crates are there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

for component in rustfmt clippy; do
  cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component" >&2
done

say "formatting"
cargo fmt --all --check
say "dependencies"
ci/dependencies.sh
say "lints"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
say "locks"
cargo run --release --locked --quiet -- lock >/dev/null
say "selftest"
cargo run --release --locked --quiet -- selftest | tail -n 1 >&2
