"""The water board tells leaks from zones that a night's flow says nothing about."""

from datetime import datetime, timedelta

from qytet.db import rollup
from qytet.db.migrate import connect, migrate
from tests.dashboards.asking import Asker, utc_now
from tests.dashboards.boards import boards
from tests.db.places import Place, steps
from tests.servers.database import DatabaseServer, fresh_database

_FLOW, _PRESSURE = "water_flow_rate", "water_pressure"


def test_only_a_judged_zone_is_suspected(postgres_server: DatabaseServer) -> None:
    """Zones with supply by the hour are not applicable, young ones are being learnt, and only the leaking one leaks."""
    now = utc_now()
    with fresh_database(postgres_server) as url, connect(url) as connection:
        migrate(connection)
        _four_zones(Place(connection), steps(now - timedelta(minutes=1), 8 * 96), now - timedelta(hours=30))
        rollup.refresh(connection)
        board = next(board for board in boards() if board.bare == "water")
        asker = Asker(connection, now)
        context = asker.context(board, asker.filled(board), board.panels[0])
        (frame,) = asker.frames(board.panels[0], context)
    assert {one.name: one.values for one in frame.fields} == {
        "zones": (4.0,),
        "high": (1.0,),
        "usual": (1.0,),
        "intermittent": (1.0,),
        "learning": (1.0,),
    }


def _four_zones(place: Place, times: list[datetime], lately: datetime) -> None:
    for name in ("steady", "leaking", "intermittent"):
        place.device(name, [_FLOW, _PRESSURE])
    place.device("young", [_FLOW])
    leak = [(time, 40.0 if time > lately else 20.0) for time in times]
    calm = [(time, 20.0) for time in times]
    fed = [(time, 3.5) for time in times]
    place.store(
        {
            f"steady/{_FLOW}": calm,
            f"steady/{_PRESSURE}": fed,
            f"leaking/{_FLOW}": leak,
            f"leaking/{_PRESSURE}": fed,
            f"intermittent/{_FLOW}": leak,
            f"intermittent/{_PRESSURE}": [(time, 0.2 if time.hour < 6 else 3.5) for time in times],
            f"young/{_FLOW}": [row for row in leak if row[0] > lately],
        }
    )
