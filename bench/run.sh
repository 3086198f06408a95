#!/bin/sh
# The benchmarks over loopback; see README.md. Arguments go to loopback.py.
set -eu
cd "$(dirname "$0")/.."
missing=""
for program in nginx wrk; do
  command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -n "$missing" ]; then
  echo "installing$missing" >&2
  # RUNLEVEL=1: the packages must not start a server.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $missing >&2 || {
    apt-get update --quiet >&2
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $missing >&2
  }
fi
cargo build --release --quiet --package keyward --bin keyward --example noop_verify --example bare_proxy
exec python3 bench/loopback.py "$@"
