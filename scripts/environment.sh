#!/bin/sh
# Makes .venv hold what requirements/SET.txt locks (SET is run or dev), and the project itself; quick if nothing changed.
set -eu

wanted=${1:?say which set: run or dev}
cd "$(dirname "$0")/.."

fail() {
    printf 'Error: %s\n  Why: %s\n  Do:  %s\n' "$1" "$2" "$3" >&2
    exit 1
}

# What the environment was made from: the place (scripts and links hold it), the lock, and the project's own file.
fingerprint() {
    pwd -P
    cksum "requirements/$1.txt" pyproject.toml
}

is_current() {
    [ -x .venv/bin/python ] && [ -f ".venv/made-from-$1" ] && [ "$(cat ".venv/made-from-$1")" = "$(fingerprint "$1")" ]
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

make_environment() {
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed." \
        "$(python3 --version 2>/dev/null || echo "There is no python3") here." \
        "Install it (Debian 12 and newer: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11 ..."
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "A Python environment cannot be made." \
        "$python has no venv module." \
        "Install it (Debian: apt install python3-venv) and try again."
    printf 'Making the Python environment (.venv) with %s\n' "$("$python" --version)"
    "$python" -m venv --clear .venv
}

install() {
    pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }
    printf 'Installing what requirements/%s.txt locks; this takes a minute the first time\n' "$wanted"
    if ! pip install --quiet --require-hashes -r "requirements/$wanted.txt"; then
        fail "The packages could not be installed." "pip says why above." "Check the network, then try again: it goes on where it stopped."
    fi
    pip install --quiet --no-deps --no-build-isolation --editable .
    # For the page under /flash, which says what to run where this could not be done.
    if command -v npm >/dev/null; then
        .venv/bin/python -m qytet_api.flash.fetch || true
    fi
    fingerprint "$wanted" >".venv/made-from-$wanted"
}

is_current dev && exit 0
is_current "$wanted" && exit 0
umask 022 # the database's own user must be able to run what is installed
moved=no
for stamp in .venv/made-from-*; do
    [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$(pwd -P)" ] && moved=yes
done
if [ "$moved" = yes ] || ! is_new_enough .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    make_environment
fi
install
