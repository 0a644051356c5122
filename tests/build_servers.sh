#!/bin/sh
# Builds the servers that the tests run against, once, into a versioned cache directory:
#   ${TRAINYARD_SERVERS:-$HOME/.cache/trainyard/servers}/minio-<version>/minio
# Safe to repeat and to interrupt: a binary appears under its name only when it is whole.
set -eu

minio_version=v0.0.0-20260212201848-7aac2a2c5b7c

servers=${TRAINYARD_SERVERS:-$HOME/.cache/trainyard/servers}
target=$servers/minio-$minio_version

if [ -x "$target/minio" ]; then
    echo "MinIO $minio_version is already in $target"
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "MinIO is built from source and needs Go 1.24 or newer (https://go.dev/doc/install)." >&2
    echo "Without it the tests that need MinIO are skipped; a running MinIO serves too:" >&2
    echo "set TRAINYARD_TEST_S3_ENDPOINT, TRAINYARD_TEST_S3_ACCESS_KEY and TRAINYARD_TEST_S3_SECRET_KEY." >&2
    exit 1
fi

mkdir -p "$servers"
build=$(mktemp -d "$servers/.build-XXXXXX")
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT TERM
echo "Building MinIO $minio_version (several minutes, once)"
GOBIN=$build CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "github.com/minio/minio@$minio_version"
mkdir -p "$target"
mv "$build/minio" "$target/minio"
echo "Built $target/minio"
