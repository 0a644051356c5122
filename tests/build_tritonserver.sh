#!/bin/sh
# Fetches the Triton server that the tests run against, once, into a versioned cache directory:
#   ${TRAINYARD_SERVERS:-$HOME/.cache/trainyard/servers}/tritonserver-<version>/
# Safe to repeat and to interrupt: the directory appears under its name only when it is whole.
# $PYTHON (default: .venv/bin/python, else python3) must be the interpreter that runs the tests.
set -eu

version=0.7.0
# Triton's Python stub reads numpy arrays by the layout of numpy 1; with numpy 2 answers are empty.
numpy=1.26.4

servers=${TRAINYARD_SERVERS:-$HOME/.cache/trainyard/servers}
target=$servers/tritonserver-$version
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3

if [ -d "$target" ]; then
    echo "Triton server (nvidia-pytriton $version) is already in $target"
    exit 0
fi

mkdir -p "$servers"
build=$(mktemp -d "$servers/.build-XXXXXX")
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT TERM
echo "Fetching a Triton server (nvidia-pytriton $version, 55 MB, once)"
"$python" -m pip download --quiet --no-deps --only-binary :all: --dest "$build" \
    "nvidia-pytriton==$version"
"$python" -m zipfile -e "$build"/nvidia_pytriton-*.whl "$build/server"
chmod +x "$build"/server/pytriton/tritonserver/bin/tritonserver \
    "$build"/server/pytriton/tritonserver/python_backend_stubs/*/triton_python_backend_stub
"$python" -m pip install --quiet --no-deps --only-binary :all: --disable-pip-version-check \
    --target "$build/server/numpy" "numpy==$numpy"
mv "$build/server" "$target"
echo "Fetched $target"
