"""Every alert rule over the three cities: it can be evaluated, fires for what is wrong and not for what is well."""

from collections.abc import Mapping

import pytest

from tests.dashboards.alerting import evaluated, firing
from tests.dashboards.asking import Asker
from tests.dashboards.boards import Json, rules
from tests.dashboards.city import truth
from tests.dashboards.grafana import expressions

_RULES = {str(rule["uid"]): rule for rule in rules()}
FIRES: Mapping[str, set[str]] = {
    "qytet-ingest-stopped": set(),
    "qytet-ingest-lag": set(),
    "qytet-dead-letters": set(),
    "qytet-disk-full": set(),
    "qytet-rollups-behind": set(),
    "qytet-readings-missing": {"korce"},
    "qytet-device-silent": {truth.SILENT},
    "qytet-gateway-silent": {truth.GATEWAY},
    "qytet-city-silent": set(),
    "qytet-air-very-poor": {truth.POOR_AIR},
    "qytet-lamps-dark": {"Sheshi Liria"},
    "qytet-night-flow-high": {truth.LEAKING},
    "qytet-chlorine-low": {truth.LOW_CHLORINE},
    "qytet-lane-stuck": {" · ".join(truth.STUCK_LANE)},
}
"""For whom each rule fires over the three cities, by a text of its labels."""
BY_THE_CLOCK: Mapping[str, str] = {
    "qytet-lamps-by-day": "by night no lamp burns by day",
    "qytet-tank-level": "tanks fill and empty by the model's own course",
}
"""Rules that may fire or not at this hour of the day, and why."""
MORE_BY_CHANCE: Mapping[str, str] = {
    "qytet-lane-stuck": "by night so few vehicles pass that six equal counts come by chance",
}
"""Rules that may fire for others, too, and why."""

_CITY_SILENT = """
update store.delivery y set last_seen = now() - interval '9 hours' from store.device d
where y.device_id = d.device_id and d.name like 'durres-%'
"""
_STOPPED = "delete from store.ingest_minute where minute > now() - interval '2 hours'"
_FLOOD = """
insert into store.dead_letter (digest, topic, payload, reason, device)
select sha256(n::text::bytea), 'x', 'x', 'bad_seq', 'korce-tank-01' from generate_series(1, 500) n
"""
FAULTS: Mapping[str, tuple[str, set[str]]] = {
    "qytet-city-silent": (_CITY_SILENT, {"durres"}),
    "qytet-ingest-stopped": (_STOPPED, {""}),
    "qytet-ingest-lag": ("update store.ingest_minute set lag_ms = batches * 90000, lag_ms_max = 95000", {""}),
    "qytet-disk-full": ("update store.ingest_minute set disk_used = 0.97", {""}),
    "qytet-dead-letters": (_FLOOD, {"korce"}),
}
"""What else may go wrong, as a change of the database that is taken back, and for whom the rule fires then."""


@pytest.mark.parametrize("uid", list(_RULES))
def test_a_rule_can_be_evaluated(asker: Asker, uid: str) -> None:
    """Each query of a rule becomes labelled numbers or series, and its condition decides about them."""
    rule = _RULES[uid]
    condition = evaluated(asker, rule)[rule["condition"]]
    assert all(isinstance(one, expressions.Number) for one in condition)
    if not condition:
        assert rule.get("noDataState") == "OK", "no row over healthy devices, and no data is not OK"


@pytest.mark.parametrize("uid", [uid for uid in _RULES if uid not in BY_THE_CLOCK])
def test_a_rule_fires_for_what_is_wrong_and_nothing_else(asker: Asker, uid: str) -> None:
    """Over the three cities, a rule fires for the faults that were put in, each once, and for nobody who is well."""
    _expect(asker, _RULES[uid], FIRES[uid], exactly=uid not in MORE_BY_CHANCE)


@pytest.mark.parametrize("uid", list(FAULTS))
def test_a_rule_fires_when_the_platform_or_a_city_fails(asker: Asker, uid: str) -> None:
    """A silent city, ingest that stopped or lags, a full disk and a flood of dead letters fire their rules."""
    change, wanted = FAULTS[uid]
    with asker.connection.transaction(force_rollback=True):
        asker.connection.execute(change.encode())
        _expect(Asker(asker.connection, asker.now), _RULES[uid], wanted)


def test_a_silent_city_is_one_alert(asker: Asker) -> None:
    """When a whole city is silent, none of its devices and gateways fires beside it."""
    change, _ = FAULTS["qytet-city-silent"]
    with asker.connection.transaction(force_rollback=True):
        asker.connection.execute(change.encode())
        fresh = Asker(asker.connection, asker.now)
        assert len(firing(fresh, _RULES["qytet-city-silent"])) == 1
        assert not any("durres" in str(labels) for labels in firing(fresh, _RULES["qytet-device-silent"]))


def _expect(asker: Asker, rule: Json, wanted: set[str], *, exactly: bool = True) -> None:
    found = [set(labels.values()) for labels in firing(asker, rule)]
    assert len(found) == len(wanted) or not exactly, f"{rule['uid']} fires for {found}, not for {wanted}"
    for text in wanted - {""}:
        assert any(text in labels for labels in found), f"{rule['uid']} fires for {found}, not for {text}"
