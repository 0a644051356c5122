#!/bin/sh
# Builds the servers that the tests run against, once, into a versioned cache directory,
# ${TRAINYARD_SERVERS:-$HOME/.cache/trainyard/servers}:
#   minio-<version>/minio                    an object store
#   kubernetes-<version>/kubernetes          etcd, API server and controllers of a cluster
#   ferretdb-<version>/ferretdb              a server that speaks MongoDB's protocol, over SQLite
# Safe to repeat and to interrupt: a binary appears under its name only when it is whole.
set -eu

minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
kubernetes_version=1.36.3
ferretdb_version=v1.24.2

here=$(cd "$(dirname "$0")" && pwd)
servers=${TRAINYARD_SERVERS:-$HOME/.cache/trainyard/servers}
build=
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT TERM

# build_once <name> <version>: calls build_<name> <folder> unless its result is there.
build_once() {
    target=$servers/$1-$2
    if [ -x "$target/$1" ]; then
        echo "$1 $2 is already in $target"
        return
    fi
    if ! command -v go >/dev/null; then
        echo "$1 is built from source and needs Go 1.26 or newer (https://go.dev/doc/install)." >&2
        echo "Without it the tests that need it are skipped. A running MinIO serves too:" >&2
        echo "set TRAINYARD_TEST_S3_ENDPOINT, TRAINYARD_TEST_S3_ACCESS_KEY and TRAINYARD_TEST_S3_SECRET_KEY;" >&2
        echo "and so does a running MongoDB: set TRAINYARD_TEST_MONGODB_URI." >&2
        exit 1
    fi
    mkdir -p "$servers"
    build=$(mktemp -d "$servers/.build-XXXXXX")
    echo "Building $1 $2 (several minutes, once)"
    (cd "$here/kubernetes_api" && "build_$1" "$build")
    mkdir -p "$target"
    mv "$build/$1" "$target/$1"
    rm -rf "$build"
    echo "Built $target/$1"
}

build_minio() {
    GOBIN=$1 CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" \
        "github.com/minio/minio@$minio_version"
}

build_kubernetes() {
    if ! grep -q "k8s.io/kubernetes v$kubernetes_version\$" go.mod; then
        echo "$PWD/go.mod requires another k8s.io/kubernetes than v$kubernetes_version" >&2
        exit 1
    fi
    release="-X k8s.io/component-base/version.gitVersion=v$kubernetes_version"
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $release" -o "$1/kubernetes" .
}

# Its command refuses to start without its version in a file, which the module lacks.
build_ferretdb() {
    module=$(cd "$1" && go mod download -json "github.com/FerretDB/FerretDB@$ferretdb_version" |
        sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
    cp -R "$module" "$1/source"
    chmod -R u+w "$1/source"
    echo "$ferretdb_version" >"$1/source/build/version/version.txt"
    cd "$1/source"
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$1/ferretdb" ./cmd/ferretdb
}

build_once minio "$minio_version"
build_once kubernetes "$kubernetes_version"
build_once ferretdb "$ferretdb_version"
