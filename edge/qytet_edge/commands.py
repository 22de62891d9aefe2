"""`qytet edge`: run the gateway, and ask how it is."""

import typer

__all__ = ["app"]

app = typer.Typer(help="Run a gateway, and ask how it is.", no_args_is_help=True)


@app.callback()
def _edge() -> None:
    """Run a gateway, and ask how it is."""
