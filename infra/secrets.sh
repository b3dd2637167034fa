#!/usr/bin/env bash
# Prints new credentials for the compose file: `infra/secrets.sh > .env`, once. Keep that file: without its keys the
# identifiers at rest can't be read again.
set -euo pipefail
hex() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }
echo "RADSTREAM_PSEUDONYM_KEY=$(hex 32)"
echo "RADSTREAM_VAULT_KEY=$(hex 32)"
echo "RADSTREAM_S3_ACCESS_KEY=$(hex 8)"
echo "RADSTREAM_S3_SECRET_KEY=$(hex 16)"
echo "RADSTREAM_POSTGRES_PASSWORD=$(hex 16)"
# Who may ask at the prediction door: the token for the asker, its hash for the service.
token=$(hex 32)
echo "RADSTREAM_PREDICT_TOKEN=$token"
echo "RADSTREAM_PREDICT_TOKEN_LINES=local:$(printf %s "$token" | sha256sum | cut -d' ' -f1)"
