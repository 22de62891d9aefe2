"""`qytet bench`: from a board, a cable and a laptop to a node whose reading is in the database."""

import typer

from qytet_bench.acceptance.commands import accept
from qytet_bench.batch_commands import batch
from qytet_bench.budget.commands import budget
from qytet_bench.flash_commands import flash, ports
from qytet_bench.image_commands import image, program_
from qytet_bench.label_commands import description, label
from qytet_bench.monitor_commands import monitor
from qytet_bench.provision_commands import provision
from qytet_bench.update.commands import bundle, key
from qytet_bench.vault_commands import credentials

__all__ = ["app"]

app = typer.Typer(
    help="The technician's bench: flash, provision, watch and accept nodes.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Keep the group a group, however few commands it has."""


app.command()(image)
app.command("program")(program_)
app.command()(key)
app.command()(bundle)
app.command()(flash)
app.command()(ports)
app.command()(batch)
app.command()(label)
app.command()(description)
app.command()(credentials)
app.command()(provision)
app.command()(monitor)
app.command("test")(accept)
app.command()(budget)
