#!/usr/bin/env bash
# Makes the images of builds that are containers, in the engine that `DOCKER_HOST` names: see ci/dockerd.sh.
#
#   ci/images.sh [WIRESKEW]      the command, if it is not that of this checkout
#
# A build with a digest is pulled by that. One that is in Debian as well is the root file system that `wireskew builds fetch`
# has made of Debian's packages, imported: no registry of images is asked, and both sources of the build run the same bytes. An
# image that was made of the same root before stays.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:$HOME/.cargo/bin"

say() { printf '%s\n' "$*" >&2; }

wireskew=("${1:-}")
if [ -z "${wireskew[0]}" ]; then
  wireskew=(cargo run --release --locked --quiet --)
fi

mapfile -t missing < <("${wireskew[@]}" builds images | awk -F '\t' '$1 == "fetch" { print $3 }')
if [ "${#missing[@]}" -gt 0 ]; then
  say "fetching ${missing[*]}"
  # 100: packages beside those under test are not as locked.
  status=0
  "${wireskew[@]}" builds fetch "${missing[@]}" >&2 || status=$?
  if [ "$status" -ne 0 ] && [ "$status" -ne 100 ]; then exit "$status"; fi
fi

"${wireskew[@]}" builds images | while IFS=$'\t' read -r what image digest root; do
  case $what in
  import)
    had=$(docker image inspect --format '{{ index .Config.Labels "wireskew.root" }}' "$image" 2>/dev/null || true)
    if [ "$had" = "$digest" ]; then
      say "$image: as fetched"
      continue
    fi
    say "$image: importing $digest"
    tar --numeric-owner --sort=name -C "$root" -c . | docker import --change "LABEL wireskew.root=$digest" - "$image" >/dev/null
    ;;
  pull)
    docker image inspect "$image@$digest" >/dev/null 2>&1 || docker pull --quiet "$image@$digest" >&2
    ;;
  fetch)
    say "$image: $digest is still not fetched"
    exit 101
    ;;
  esac
done
