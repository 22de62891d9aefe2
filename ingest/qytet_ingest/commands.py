"""`qytet ingest`: run a worker."""

from typing import Annotated

import typer

from qytet import settings
from qytet.db.where import database_url
from qytet.embedded.where import embedded_broker_url
from qytet.errors import SettingsError
from qytet_ingest import service

__all__ = ["app"]

app = typer.Typer(help="The path from broker to database.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `run` a sub-command although it is the only one."""


@app.command()
def run(
    city: Annotated[str, typer.Option(help="Only this city's devices; empty for all.")] = "",
    shard: Annotated[str, typer.Option(help="Only this part of the devices, as index/count.")] = "",
) -> None:
    """Receive, store and acknowledge readings until stopped (SIGTERM or Ctrl-C stop it in order).

    Several workers: give each another client id ([ingest] client_id) and http port, and a city or a shard.
    """
    known = settings.load()
    ingest = known.ingest.model_copy(update={k: v for k, v in (("city", city), ("shard", shard)) if v})
    known = known.model_copy(update={"ingest": type(ingest).model_validate(ingest.model_dump())})
    broker_url = known.broker.url.get_secret_value() or embedded_broker_url(known.data_dir / "nats", "ingest")
    if not broker_url:
        raise SettingsError(
            "There is no broker to receive from.",
            why="[broker] url is empty, and no embedded broker runs.",
            do="Set [broker] url (or QYTET_BROKER__URL), or run everything with `qytet demo run`.",
        )
    service.run(known, database_url(), broker_url)
