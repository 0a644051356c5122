#!/bin/sh
# Builds the container images NAME…, or all, with docker, podman or buildah; `make images` calls it.
#   REGISTRY    prefix of the references          PUSH=1      pushes them when all are built
#   BUILD_ARGS  more arguments for the engine     SOURCE      address of the source, for a label
#   DOCKER      the engine                        PYTHON      any Python 3.11
set -eu
cd "$(dirname "$0")/.."
TRAINYARD_IMAGE_REGISTRY=${REGISTRY:-${TRAINYARD_IMAGE_REGISTRY:-}}
export TRAINYARD_IMAGE_REGISTRY
python=${PYTHON:-python3}

problems=
problem() { problems="$problems$1
"; }
references=$("$python" -m components.core.images "$@" 2>&1) || problem "$references"
engine=${DOCKER:-}
for candidate in docker podman buildah; do
    [ -n "$engine" ] || engine=$(command -v "$candidate" || true)
done
if [ -z "$engine" ]; then
    problem "No container engine here: install docker, podman or buildah, or name one with DOCKER=…"
elif ! command -v "$engine" >/dev/null; then
    problem "DOCKER=$engine: there is no such program"
fi
if [ "${PUSH:-}" = 1 ] && [ -z "$TRAINYARD_IMAGE_REGISTRY" ]; then
    problem "PUSH=1 needs the registry's prefix: REGISTRY=registry.example.org/vision"
fi
if [ -n "$problems" ]; then
    printf %s "$problems" >&2
    exit 2
fi

for reference in $references; do
    version=${reference##*:}
    name=${reference%:*}
    name=${name##*/trainyard-}
    # Unquoted on purpose: BUILD_ARGS is a list of words.
    "$engine" build --file "images/$name/Dockerfile" --tag "$reference" \
        --build-arg "VERSION=$version" --build-arg "SOURCE=${SOURCE:-}" ${BUILD_ARGS:-} .
    echo "Built $reference"
done
[ "${PUSH:-}" = 1 ] || exit 0
for reference in $references; do
    "$engine" push "$reference"
    echo "Pushed $reference"
done
