#!/usr/bin/env bash
# Resolves requirements/*.lock from pyproject.toml: versions and hashes, and no address of an index or of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PIP_FIND_LINKS PIP_INDEX_URL PIP_EXTRA_INDEX_URL UV_FIND_LINKS UV_INDEX UV_INDEX_URL UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL
compile() {
  .venv/bin/uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
    --no-header --no-annotate "${@:2}" -o "requirements/$1.lock"
}
compile demo --extra demo pyproject.toml
compile dev --extra dev --constraint requirements/demo.lock pyproject.toml
compile uv requirements/uv.in
