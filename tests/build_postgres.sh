#!/bin/sh
# Fetches the PostgreSQL that the tests run against, once, into a versioned cache directory:
#   ${TRAINYARD_SERVERS:-$HOME/.cache/trainyard/servers}/postgresql-<version>/
# It is Debian's (or Ubuntu's) package with the libraries that it needs, unpacked and not installed,
# which takes no root. Where PostgreSQL is installed, that one serves and nothing is fetched.
# Safe to repeat and to interrupt: the directory appears under its name only when it is whole.
set -eu

servers=${TRAINYARD_SERVERS:-$HOME/.cache/trainyard/servers}
build=
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT TERM

fail() {
    echo "$1." >&2
    echo "Install PostgreSQL 13 or newer (Debian: postgresql, Fedora: postgresql-server)," >&2
    echo "or set TRAINYARD_TEST_POSTGRES_DSN to the URL of a running one whose user may make" >&2
    echo "databases. Without it the tests that need it are skipped." >&2
    exit 1
}

# Lists and packages lie in $build, so that neither root's nor old ones are needed.
apt() {
    apt-get -qq -o APT::Sandbox::User= -o Acquire::Retries=3 -o Acquire::Languages=none \
        -o Dir::Cache="$build/apt" -o Dir::State::lists="$build/apt/lists" \
        -o Dir::State::status=/dev/null "$@"
}

for found in "$servers"/postgresql-* "$(command -v initdb || true)" /usr/lib/postgresql/*/bin/initdb; do
    if [ -e "$found" ]; then
        echo "PostgreSQL is already here: $found"
        exit 0
    fi
done

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    fail "PostgreSQL is fetched as a package of Debian with apt-get and dpkg-deb, which are not here"
mkdir -p "$servers"
build=$(mktemp -d "$servers/.build-XXXXXX")
mkdir -p "$build/apt/lists/partial" "$build/debs" "$build/root"
echo "Fetching PostgreSQL (25 MB, once)"
# One unreachable source of several is no reason to stop, nor is a hook that needs root.
apt update 2>"$build/update.log" || true
# Everything a bare system would need, without what runs no server: the C library (the machine's
# own must serve its own loader), LLVM with z3 (compile long queries) and Perl (Debian's wrappers).
wanted=$(apt install --simulate --no-install-recommends postgresql | awk '
    $1 == "Inst" && $2 ~ /^(lib|postgresql-[0-9]|postgresql-client-[0-9])/ &&
    $2 !~ /^lib(c6|c-bin|c-l10n|gcc-s1|llvm|z3|perl|pam-modules)|-perl$/ { print $2 }')
if [ -z "$wanted" ]; then
    cat "$build/update.log" >&2
    fail "apt-get finds no package postgresql"
fi
# shellcheck disable=SC2086
(cd "$build/debs" && apt download $wanted) || fail "Fetching the packages of PostgreSQL failed"
for package in "$build"/debs/*.deb; do
    dpkg-deb --extract "$package" "$build/root"
done
rm -rf "$build"/root/usr/share/doc "$build"/root/usr/share/man "$build"/root/usr/share/locale \
    "$build"/root/usr/lib/postgresql/*/lib/bitcode
version=$(dpkg-deb --field "$build"/debs/postgresql-[0-9]*.deb Version)
mv "$build/root" "$servers/postgresql-${version%%-*}"
echo "Fetched $servers/postgresql-${version%%-*}"
