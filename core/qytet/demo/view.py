"""One live status view on a terminal; one plain line every few seconds elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from qytet.demo.figures import Figures

__all__ = ["View"]

_LINE_S = 5.0  # s between two lines where nobody watches a terminal


class View:
    """Shows figures on a console while its block runs."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )
        self._next_line = time.monotonic() + 1.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, figures: Figures, elapsed_s: float) -> None:
        """Show the figures of this moment."""
        if self._live:
            self._live.update(self._table(figures, elapsed_s), refresh=True)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_S
            self._console.print(_line(figures, elapsed_s), markup=False, highlight=False, soft_wrap=True)

    def _table(self, now: Figures, elapsed_s: float) -> Table:
        table = Table(title=f"{self._title}   {elapsed_s:.0f} s", title_justify="left", min_width=72)
        table.add_column("city")
        for column in ("readings/s", "readings", "records", "stored", "under way"):
            table.add_column(column, justify="right")
        for name, city in now.cities.items():
            table.add_row(
                name, f"{city.rate:,.0f}", *_numbers(city.readings, city.records, city.stored, city.held)
            )
        table.add_section()
        table.add_row(
            "all", f"{now.rate:,.0f}", *_numbers(now.readings, now.records, now.records_stored, now.held)
        )
        dead = f"[bold red]{now.dead_letters:,}[/]" if now.dead_letters else "0"
        table.caption = (
            f"lag {_seconds(now.lag_s)}   stored {now.stored_rate:,.0f} readings/s   dead letters {dead}   "
            f"publish to stored p50 {_ms(now, 'p50')}, p99 {_ms(now, 'p99')}   Ctrl-C stops"
        )
        table.caption_justify = "left"
        return table


def _line(now: Figures, elapsed_s: float) -> str:
    cities = ", ".join(f"{name} {city.rate:,.0f}/s" for name, city in now.cities.items())
    return (
        f"{elapsed_s:4.0f} s  {now.rate:,.0f} readings/s ({cities}); {now.readings:,} generated, "
        f"{now.readings_stored:,} stored; lag {_seconds(now.lag_s)}; {now.dead_letters:,} dead letters"
    )


def _numbers(*values: int) -> list[str]:
    return [f"{value:,}" for value in values]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _ms(now: Figures, name: str) -> str:
    value = now.stored_ms.get(name)
    return "-" if value is None else f"{value:.0f} ms"
