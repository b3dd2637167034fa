#!/usr/bin/env bash
# Sets up this checkout: `infra/setup.sh demo` for what `make demo` needs, `infra/setup.sh dev` for the tests as well.
# What is there already is left alone, so a second run costs nothing. Servers go to ${XDG_CACHE_HOME:-~/.cache}/radstream,
# which every checkout of a user shares; Python packages go to .venv, with the hashes of requirements/*.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-dev}
case $kind in demo | dev) ;; *) echo "usage: infra/setup.sh [demo|dev]" >&2; exit 2 ;; esac
# shellcheck source=radstream/stack/versions.env
. radstream/stack/versions.env
tools=${XDG_CACHE_HOME:-$HOME/.cache}/radstream
kafka=$tools/kafka-$KAFKA_VERSION
apicurio=$tools/apicurio-$APICURIO_VERSION
versitygw=$tools/versitygw-$VERSITYGW_VERSION
log=.radstream/log/setup
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

say() { printf '%s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
have_server() { have "$1" || [ -x "/usr/lib/postgresql/$POSTGRES_MAJOR/bin/$1" ]; }

# 1. What is missing.
packages=() todo=()
have redis-server || packages+=(redis-server)
have_server initdb || packages+=("postgresql-$POSTGRES_MAJOR")
have prometheus || packages+=(prometheus)
[ "$kind" = demo ] || have storescu || packages+=(dcmtk)
[ "$kind" = demo ] || have Orthanc || packages+=(orthanc)
[ ${#packages[@]} -eq 0 ] || todo+=(system)
[ -d "$kafka/libs" ] || todo+=(kafka)
[ -f "$apicurio/quarkus-run.jar" ] || todo+=(apicurio)
[ -x "$versitygw/versitygw" ] || todo+=(versitygw)
stamp=.venv/.radstream-$kind
[ "$stamp" -nt "requirements/$kind.lock" ] && [ "$stamp" -nt pyproject.toml ] && [ -x .venv/bin/radstream ] || todo+=(python)
# A checkout set up for the tests has what the demo needs.
if [ "$kind" = demo ] && [ .venv/.radstream-dev -nt requirements/dev.lock ] && [ .venv/.radstream-dev -nt pyproject.toml ]; then
  todo=("${todo[@]/python/}")
fi
[ -n "${todo[*]:-}" ] || exit 0

# 2. Say it, and stop where it can't be done.
describe() {
  case $1 in
    system) say "  system packages   ${packages[*]} (apt)" ;;
    kafka) say "  Apache Kafka      $KAFKA_VERSION, 44 MB of jars (Maven)" ;;
    apicurio) say "  Apicurio registry $APICURIO_VERSION, 158 MB (Maven)" ;;
    versitygw) say "  versitygw         $VERSITYGW_VERSION, built from source, 1 to 4 minutes (Go)" ;;
    python) say "  Python packages   .venv from requirements/$kind.lock" ;;
  esac
}
needs() {
  case $1 in
    system)
      have apt-get || die "${packages[*]} missing and there is no apt-get: install them with this system's package manager, then run make again"
      [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || die "${packages[*]} missing and this user is no root: run 'sudo apt-get install ${packages[*]}', then make again" ;;
    kafka | apicurio) have mvn || die "Maven is missing (it fetches Kafka and the registry): 'apt-get install maven', then run make again" ;;
    versitygw) have go || die "Go 1.24 or newer is missing (it builds the S3 server versitygw): install Go and put it on the PATH, then run make again" ;;
    python) have python3 && python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is missing: install it (with its venv module), then run make again" ;;
  esac
}
say "Setting up ($kind):"
for part in "${todo[@]}"; do [ -z "$part" ] || describe "$part"; done
for part in "${todo[@]}"; do [ -z "$part" ] || needs "$part"; done
mkdir -p "$tools" "$log"

# 3. Each part in a folder beside its place, moved there when it is whole: an interrupted run leaves nothing half.
new() { rm -rf "$1.$$" && mkdir -p "$1.$$" && printf '%s' "$1.$$"; }
put() { rm -rf "$2" && mv "$1" "$2"; }

install_system() {
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  # No service is started and no system cluster made: the stack runs its own.
  local policy=/usr/sbin/policy-rc.d
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null && "${root[@]}" chmod +x $policy && trap "${root[*]} rm -f $policy" EXIT; }
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
}
install_kafka() {
  local at
  at=$(new "$kafka")
  mvn -q -B -f infra/kafka/pom.xml "-Dkafka.version=$KAFKA_VERSION" $plugin:copy-dependencies -DoutputDirectory="$at/libs" -DincludeScope=runtime
  put "$at" "$kafka"
}
install_apicurio() {
  local at
  at=$(new "$apicurio")
  mvn -q -B $plugin:copy "-Dartifact=io.apicurio:apicurio-registry-app:$APICURIO_VERSION:tar.gz:all" -DoutputDirectory="$at"
  tar xzf "$at"/*.tar.gz -C "$at" && rm "$at"/*.tar.gz
  put "$at" "$apicurio"
}
install_versitygw() {
  local at
  at=$(new "$versitygw")
  GOBIN=$at go install "github.com/versity/versitygw/cmd/versitygw@v$VERSITYGW_VERSION"
  put "$at" "$versitygw"
}
install_python() {
  [ -x .venv/bin/python ] || python3 -m venv .venv
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install -q --require-hashes -r requirements/uv.lock
  .venv/bin/uv pip install -q --python .venv/bin/python --require-hashes -r "requirements/$kind.lock"
  .venv/bin/uv pip install -q --python .venv/bin/python --no-deps -e .
  touch "$stamp"
}

# 4. All at the same time; each says when it is done, and shows its log when it fails.
began=$SECONDS
run() {
  local status=0
  set +e # a failure is told below; inside the parentheses it ends the part at once
  (set -e; "install_$1") >"$log/$1.log" 2>&1
  status=$?
  touch "$log/$1.done"
  if [ $status = 0 ]; then
    say "  done: $1 ($((SECONDS - began)) s)"
  else
    { printf 'setup: %s failed; the end of %s/%s.log:\n' "$1" "$log" "$1"; tail -n 8 "$log/$1.log"; } >&2
  fi
  return $status
}
rm -f "$log"/*.done
pids=()
for part in "${todo[@]}"; do
  [ -n "$part" ] || continue
  run "$part" &
  pids+=($!)
done
(
  while sleep 15 >/dev/null 2>&1; do
    at_work=()
    for part in "${todo[@]}"; do [ -z "$part" ] || [ -e "$log/$part.done" ] || at_work+=("$part"); done
    say "  ... $((SECONDS - began)) s, at work: ${at_work[*]}"
  done
) &
ticker=$!
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
kill "$ticker" 2>/dev/null || true
wait "$ticker" 2>/dev/null || true
[ $failed = 0 ] || die "not everything could be installed; what succeeded is kept, so run make again when the cause is gone"
say "Set up in $((SECONDS - began)) s."
