#!/bin/sh
# Deletes .qytet, and the database's cluster where root had to put it elsewhere; refuses while a demo runs.
set -eu

cd "$(dirname "$0")/.."
if [ -x .venv/bin/python ] && .venv/bin/python -c 'import qytet.demo' 2>/dev/null; then
    exec .venv/bin/python -m qytet demo remove
fi
if [ -e .qytet/postgres/location ]; then
    # Without the environment nobody can follow the link safely.
    printf 'Error: %s\n  Why: %s\n  Do:  %s\n' "The database cannot be deleted yet." \
        "It lies outside this folder ($(cat .qytet/postgres/location)), and the Python environment is gone." \
        "Run \`make environment\`, then \`make clean\` again." >&2
    exit 1
fi
rm -rf .qytet
