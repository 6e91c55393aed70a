#!/usr/bin/env bash
# Runs the live matrix: the real releases, installed from Debian, each client against each server; then those of one suite again,
# in containers. Installs what it needs on a bare Debian machine, fetches the builds into the cache and runs them in a sandbox.
#
#   ci/live.sh [ARGUMENTS OF `wireskew run`]
#
#   WIRESKEW_CACHE     where root file systems are kept (default ~/.cache/wireskew), some 4 GB
#   WIRESKEW_RESULTS   where results go (default target/wireskew-live; those of containers have `-containers` behind)
#   DOCKER_HOST        an engine for containers; ci/dockerd.sh starts one if none answers, and it is stopped at the end
#
# The exit code is that of `wireskew run`, of the first one that is not as expected, or of `wireskew builds fetch` if a build is
# unavailable.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { say "this needs root, for namespaces and mmdebstrap: become root, or install sudo"; exit 96; }
  as_root=(sudo --preserve-env=WIRESKEW_CACHE,DOCKER_HOST,http_proxy,https_proxy)
fi

# Program and the Debian package that brings it.
missing=()
for pair in mmdebstrap:mmdebstrap unshare:util-linux setpriv:util-linux cc:gcc; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
for package in debian-archive-keyring ca-certificates; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
fi
PATH="$PATH:$HOME/.cargo/bin"
command -v cargo >/dev/null || { say "this needs a Rust toolchain: install rustup, then run it again"; exit 96; }

say "building wireskew"
cargo build --release --locked --quiet -p cli --features containers
wireskew="${CARGO_TARGET_DIR:-target}/release/wireskew"
results=${WIRESKEW_RESULTS:-target/wireskew-live}
export WIRESKEW_CACHE="${WIRESKEW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wireskew}"

# 100: packages beside those under test are not as locked. The report names the digest of what ran.
say "fetching the builds into $WIRESKEW_CACHE"
status=0
"${as_root[@]}" "$wireskew" builds fetch >&2 || status=$?
if [ "$status" -ne 0 ] && [ "$status" -ne 100 ]; then
  exit "$status"
fi

say "running the live matrix"
status=0
"${as_root[@]}" "$wireskew" run --matrix matrices/live.toml --results "$results" "$@" || status=$?

had=${DOCKER_HOST:-}
if found=$("${as_root[@]}" ci/dockerd.sh); then
  eval "$found"
  if [ "$DOCKER_HOST" != "$had" ]; then trap '"${as_root[@]}" ci/dockerd.sh stop' EXIT; fi
  "${as_root[@]}" ci/images.sh "$wireskew"
  say "running builds in containers"
  again=0
  "${as_root[@]}" "$wireskew" run --matrix matrices/containers.toml --results "$results-containers" "$@" || again=$?
  # 4: nothing of the selection runs in a container.
  if [ "$status" -eq 0 ] && [ "$again" -ne 4 ]; then status=$again; fi
else
  say "NOT RUN: builds in containers; no engine could be started"
fi
exit "$status"
