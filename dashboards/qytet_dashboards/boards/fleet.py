"""The fleet: who has been heard and when, what is silent and why, and how devices fare."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import bargauge, geomap, stat, table, timeseries

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Words, variables
from qytet_dashboards.vocabulary.board import Placed
from qytet_dashboards.vocabulary.colours import BAD, NEUTRAL, OK, POOR, UNKNOWN, WARN, States, steps
from qytet_dashboards.vocabulary.fields import Field, link_to, with_fields
from qytet_dashboards.vocabulary.queries import HIGHEST, LOWEST
from qytet_dashboards.vocabulary.states import CAUSE, FLEET

__all__ = ["build"]

_TIME, _AGE, _DBM = "time:DD.MM. HH:mm", "dtdhms", "dBm"
_ONLINE = States("board_fleet", {0: ("offline", BAD), 1: ("online", OK)})
_RESET = {str(code): f"board_fleet.reset_{code}" for code in range(6)}
_SIGNAL = steps(BAD, (-115, WARN), (-100, OK))  # dBm: LoRa and LTE still answer below -100, with losses
_BATTERY = steps(BAD, (10, WARN), (30, OK))  # %
_CLOCK = steps(BAD, (-5, WARN), (-1, OK), (1, WARN), (5, BAD))  # s; the catalogue suspects more than 5

_COUNTS = """
select count(*) as devices, count(*) filter (where status = 1) as fine, count(*) filter (where status = 2) as late,
count(*) filter (where status = 3) as silent, count(*) filter (where status = 4) as behind,
count(*) filter (where status = 5) as asleep, count(*) filter (where status = 0) as never
from qytet.fleet(:cities, :sites, :devices)
"""
_OUTAGE_COUNT = "select count(*) as value from qytet.outage where qytet.chosen(city, :cities)"
_MISSING = "select coalesce(sum(missing), 0)::bigint as value from qytet.fleet(:cities, :sites, :devices)"
_OUTAGES = """
select cause, subject, city, devices, since, lasting_s from qytet.outage where qytet.chosen(city, :cities)
order by devices desc, lasting_s desc nulls last limit 200
"""
# A marker a site, in the colour of what fares worst there.
_PLACES = """
select site_name, lat, lon,
(array_agg(status order by array_position(array[3, 4, 2, 0, 5, 1], status::integer)))[1]::integer as status,
count(*) as devices, count(*) filter (where status in (3, 4)) as silent
from qytet.fleet(:cities, :sites, :devices) group by city, site, site_name, lat, lon order by 1
"""
_SILENT = """
select device, status, silent_s, gateway, site_name
from qytet.fleet(:cities, :sites, :devices) where status in (3, 4) order by status, silent_s desc, device limit 200
"""
_DEVICES = """
select f.device, f.status, f.seen_at, f.profile, f.site_name, f.gateway, f.firmware, f.rssi, f.battery_level,
f.backlog_records, f.boots_24h, f.missing, coalesce(b.board, 'delivery') as board
from qytet.fleet(:cities, :sites, :devices) f
left join (
select device, min(case domain when 'air_quality' then 'air' else domain end) as board
from qytet.datastream where domain in ('air_quality', 'lighting', 'water', 'traffic') group by device
) b using (device)
order by array_position(array[3, 4, 2, 0, 5, 1], f.status::integer), f.device limit 200
"""
_FIRMWARE = """
select coalesce(nullif(firmware, ''), '?') as firmware, count(*) as devices
from qytet.fleet(:cities, :sites, :devices) group by 1 order by 2 desc, 1 limit 12
"""
# Of the devices those that were heard in the fewest hours. The hour that is running may yet bring something.
_TIMELINE = """
select "time", device as metric, online::integer as value
from qytet.fleet_hour(:cities, :sites, :devices, :since, :till, 24)
where online = 1 or "time" <= now() - interval '1 hour' order by 1, 2
"""
_HEALTH = """
select l.device, max(l.value) filter (where l.property = 'clock_offset') as clock_offset,
max(l.value) filter (where l.property = 'uptime') as uptime,
max(l.value) filter (where l.property = 'reset_cause') as reset_cause,
max(l.value) filter (where l.property = 'battery_voltage') as battery_voltage,
max(l.value) filter (where l.property = 'board_temperature') as board_temperature,
max(l.value) filter (where l.property = 'backlog_records') as backlog_records,
max(l.value) filter (where l.property = 'dropped_records_total') as dropped,
max(l.value) filter (where l.property = 'storage_used') as storage_used,
max(l.value) filter (where l.property = 'memory_free') as memory_free,
sum(l.value) filter (where l.property = 'sensor_errors_total') as sensor_errors,
max(l.phenomenon_time) as seen_at
from qytet.latest l
where l.domain = 'device_health' and l.quality <= 2 and qytet.chosen(l.city, :cities)
and qytet.chosen(l.site, :sites) and qytet.chosen(l.device, :devices)
group by l.device
order by max(abs(l.value)) filter (where l.property = 'clock_offset') desc nulls last, l.device limit 200
"""
_BOOTS = """
select device, boots_24h as boots from qytet.fleet(:cities, :sites, :devices) order by 2 desc, 1 limit 10
"""


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001
    """One board for all cities."""
    words = Words(language, "board_fleet")
    panels = Panels(words)
    yield Board(
        "fleet",
        words,
        variables=[
            variables.city(words),
            variables.site(words),
            variables.device(words),
            variables.channel(words, "device_health"),
            variables.resolution(words),
        ],
        panels=[
            (_counts(panels), 16, 3),
            (panels.number("outage_count", _OUTAGE_COUNT, thresholds=steps(OK, (1, BAD))), 4, 3),
            (panels.number("missing", _MISSING, thresholds=steps(OK, (1, WARN))), 4, 3),
            (_outages(panels), 9, 7),
            (_places(panels), 6, 7),
            (_silent(panels), 9, 7),
            (_devices(panels), 18, 10),
            (_firmware(panels), 6, 10),
        ],
        rows=[
            (words("row_timeline"), [(panels.states("timeline", _TIMELINE, _ONLINE), 24, 12)]),
            (words("row_radio"), _radio(panels)),
            (words("row_gateways"), _gateways(panels)),
        ],
    )


def _counts(panels: Panels) -> stat.Panel:
    colours = {"late": WARN, "silent": BAD, "behind": POOR, "never": UNKNOWN}
    plain = {"devices": NEUTRAL, "fine": OK, "asleep": NEUTRAL}
    return with_fields(
        panels.number("counts", _COUNTS, thresholds=steps(NEUTRAL)),
        panels.words,
        *[Field(name, title=name, thresholds=steps(colour)) for name, colour in plain.items()],
        *[Field(name, title=name, thresholds=steps(OK, (1, colour))) for name, colour in colours.items()],
    )


def _outages(panels: Panels) -> table.Panel:
    words = panels.words
    return with_fields(
        panels.table("outages", _OUTAGES, {}).no_value(words("no_outage")),
        words,
        Field("cause", title="cause", names=CAUSE, width=75),
        Field("subject", title="subject", link=link_to("fleet", words.language, city="city")),
        Field("city", title="boards.city", width=65),
        Field("devices", title="devices", width=55),
        Field("since", title="boards.since", unit=_TIME, width=100, empty="–"),
        Field("lasting_s", title="lasting", unit=_AGE, width=95, empty="–"),
    )


def _places(panels: Panels) -> geomap.Panel:
    return with_fields(
        panels.map("places", _PLACES, "status", FLEET.thresholds(), FLEET),
        panels.words,
        Field("site_name", title="boards.site"),
        Field("status", title="boards.state"),
        Field("devices", title="devices"),
        Field("silent", title="silent"),
    )


def _silent(panels: Panels) -> table.Panel:
    words = panels.words
    return with_fields(
        panels.table("silent_devices", _SILENT, {}).no_value(words("no_silent")),
        words,
        Field("device", title="boards.device", link=link_to("fleet", words.language, ("device",)), width=115),
        Field("status", title="boards.state", states=FLEET, width=85),
        Field("silent_s", title="silent_for", unit=_AGE, width=95),
        Field("gateway", title="gateway", empty="–"),
        Field("site_name", title="boards.site"),
    )


def _devices(panels: Panels) -> table.Panel:
    words = panels.words
    domain = link_to("${__data.fields.board}", words.language, ("device",))
    return with_fields(
        panels.table("devices_now", _DEVICES, {}).no_value(words("no_device")),
        words,
        Field("device", title="boards.device", link=domain, width=120),
        Field("status", title="boards.state", states=FLEET, width=90),
        Field("seen_at", title="seen", unit=_TIME, width=100, empty="–"),
        Field("profile", title="boards.profile", width=105),
        Field("site_name", title="boards.site"),
        Field("gateway", title="gateway", empty="–"),
        Field("firmware", title="firmware_version", width=70, empty="–"),
        Field(
            "rssi",
            title="signal",
            unit=_DBM,
            decimals=0,
            thresholds=_SIGNAL,
            colour="text",
            width=80,
            empty="–",
        ),
        Field(
            "battery_level",
            title="battery",
            unit="percent",
            decimals=0,
            thresholds=_BATTERY,
            colour="text",
            width=65,
            empty="–",
        ),
        Field("backlog_records", title="backlog", decimals=0, width=65, empty="–"),
        Field(
            "boots_24h",
            title="boots",
            thresholds=steps("text", (3, WARN), (10, BAD)),
            colour="text",
            width=65,
        ),
        Field(
            "missing",
            title="missing_short",
            thresholds=steps("text", (1, WARN)),
            colour="text",
            width=65,
            empty="–",
        ),
        Field("board", hidden=True),
    )


def _firmware(panels: Panels) -> bargauge.Panel:
    return panels.ranking("firmware", _FIRMWARE)


def _radio(panels: Panels) -> list[Placed]:
    """Signal, battery and temperature: of each the devices that fare worst."""
    return [
        (panels.of("rssi", sql=LOWEST).thresholds(steps(BAD, (-115, WARN), (-100, "transparent"))), 8, 8),
        (_reported(panels, "battery_voltage", LOWEST), 8, 8),
        (panels.of("board_temperature", sql=HIGHEST), 8, 8),
        (panels.ranking("restarts", _BOOTS, thresholds=steps(OK, (3, WARN), (10, BAD))), 24, 8),
    ]


def _gateways(panels: Panels) -> list[Placed]:
    shown = [_reported(panels, name, HIGHEST) for name in ("clock_offset", "backlog_records", "storage_used")]
    return [(_health(panels), 24, 8), *((panel, 8, 8) for panel in shown)]


def _reported(panels: Panels, name: str, sql: str) -> timeseries.Panel:
    """What only some kinds of devices report: where none does, the panel says so."""
    return panels.of(name, sql=sql).no_value(panels.words("not_reported"))


def _health(panels: Panels) -> table.Panel:
    words = panels.words
    return with_fields(
        panels.table("health", _HEALTH, {}).no_value(words("not_reported")),
        words,
        Field("device", title="boards.device", link=link_to("fleet", words.language, ("device",))),
        Field(
            "clock_offset",
            title="clock",
            unit="suffix:s",
            decimals=2,
            thresholds=_CLOCK,
            colour="text",
            empty="–",
        ),
        Field("uptime", title="uptime", unit=_AGE, empty="–"),
        Field("reset_cause", title="reset", names=_RESET, empty="–"),
        Field("battery_voltage", title="voltage", unit="volt", decimals=2, empty="–"),
        Field("board_temperature", title="temperature", unit="celsius", decimals=0, empty="–"),
        Field("backlog_records", title="backlog", decimals=0, empty="–"),
        Field(
            "dropped",
            title="dropped",
            decimals=0,
            thresholds=steps("text", (1, BAD)),
            colour="text",
            empty="–",
        ),
        Field(
            "storage_used",
            title="storage",
            unit="percent",
            decimals=0,
            thresholds=steps(OK, (80, WARN), (90, BAD)),
            colour="text",
            empty="–",
        ),
        Field("memory_free", title="memory", unit="bytes", empty="–"),
        Field(
            "sensor_errors",
            title="errors",
            decimals=0,
            thresholds=steps("text", (1, WARN)),
            colour="text",
            empty="–",
        ),
        Field("seen_at", title="boards.time", unit=_TIME),
    )
