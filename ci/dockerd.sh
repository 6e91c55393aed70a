#!/usr/bin/env bash
# Starts an engine for containers where none answers, and says on standard output how it is reached:
#
#   eval "$(ci/dockerd.sh)"
#   ci/dockerd.sh stop           ends the one that this script has started
#
#   DOCKER_HOST                  an engine that is there; asked first, then the one of this machine
#   WIRESKEW_ENGINE              where the one that is started keeps everything (default: `engine` in the cache of wireskew)
#
# It needs root, no systemd and no network: containers of wireskew have none. It listens on a socket of its own and touches
# nothing of an engine that the machine may have. On a bare Debian machine it installs Debian's docker.io.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

cache=${WIRESKEW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wireskew}
engine=${WIRESKEW_ENGINE:-$cache/engine}
socket=$engine/docker.sock
usual=/var/run/docker.sock

# answers <host>: whether an engine is there.
answers() { timeout 5 docker -H "$1" version >/dev/null 2>&1; }

# is_ours <pid>: whether that is the engine of this folder, and not somebody who has its number now.
is_ours() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "--pidfile $engine/pid "; }

stop() {
  local pid tries
  pid=$(cat "$engine/pid" 2>/dev/null || true)
  if [ -z "$pid" ] || ! is_ours "$pid"; then
    say "no engine of $engine runs"
    return 0
  fi
  kill "$pid"
  for tries in $(seq 150); do
    if ! is_ours "$pid"; then return 0; fi
    sleep 0.1
  done
  say "SIGTERM did not end the engine in 15 s (try $tries); killing it"
  kill -9 "$pid"
}

# storage: `overlay2` where the kernel and the file system can do that; `vfs`, which copies an image for each container, else.
storage() {
  local trial=$engine/trial kind=vfs
  mkdir -p "$trial"/{lower,upper,work,merged}
  if mount -t overlay overlay -o "lowerdir=$trial/lower,upperdir=$trial/upper,workdir=$trial/work" "$trial/merged" 2>/dev/null; then
    umount "$trial/merged"
    kind=overlay2
  fi
  rm -rf "$trial"
  printf '%s' "$kind"
}

start() {
  local tries
  if [ "${#socket}" -gt 107 ]; then
    say "the path of a socket has at most 107 bytes: shorten $socket, by WIRESKEW_ENGINE"
    return 96
  fi
  mkdir -p "$engine"
  [ -s "$engine/daemon.json" ] || echo '{}' >"$engine/daemon.json"
  setsid dockerd --host "unix://$socket" --data-root "$engine/data" --exec-root "$engine/exec" --pidfile "$engine/pid" \
    --config-file "$engine/daemon.json" --iptables=false --ip6tables=false --bridge=none \
    --storage-driver "$(storage)" >"$engine/log" 2>&1 </dev/null &
  for tries in $(seq 300); do
    if answers "unix://$socket"; then return 0; fi
    if ! kill -0 $! 2>/dev/null; then break; fi
    sleep 0.1
  done
  say "dockerd does not answer (try $tries); the end of $engine/log:"
  tail -n 5 "$engine/log" >&2
  return 1
}

case ${1:-start} in
start) ;;
stop) stop; exit ;;
*) say "usage: ci/dockerd.sh [stop]"; exit 2 ;;
esac

for host in ${DOCKER_HOST:+"$DOCKER_HOST"} "unix://$usual" "unix://$socket"; do
  if answers "$host"; then
    printf 'export DOCKER_HOST=%q\n' "$host"
    exit
  fi
done
[ "$(id -u)" -eq 0 ] || { say "no engine for containers answers, and starting one needs root"; exit 96; }
if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
  say "installing docker.io"
  apt-get update -q >&2
  # Newer suites have the command in a package of its own.
  packages=(docker.io)
  if apt-cache show docker-cli >/dev/null 2>&1; then packages+=(docker-cli); fi
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}" >&2
fi
start
printf 'export DOCKER_HOST=%q\n' "unix://$socket"
