"""`python -m qytet` is the `qytet` command."""

from qytet.cli import main

main()
