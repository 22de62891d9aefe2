"""Alert rules, contact points, templates and policies by the provisioning API."""

from typing import Any

import pytest
import yaml

from qytet.errors import InputError
from qytet_dashboards.grafana import alert_files, files
from tests.dashboards import client_fixtures
from tests.dashboards.client_fixtures import RULE, Kit
from tests.dashboards.fake_grafana import TOKEN

grafana, kit = client_fixtures.grafana, client_fixtures.kit

_GROUP = "alert rules qytet/Fleet & more"


def _rules(kit: Kit, **changes: object) -> None:
    """Change the group's only rule, as another build would."""
    path = kit.root / "alerting" / "rules.yaml"
    content = yaml.safe_load(path.read_text())
    content["groups"][0]["rules"] = [{**RULE, **changes}]
    path.write_text(yaml.safe_dump(content))


def _sent(kit: Kit) -> Any:
    return next(request for request in kit.grafana.writes if "rule-groups" in request.path)


def test_rules_are_sent_as_the_api_takes_them(kit: Kit) -> None:
    """File format becomes the API's: folder by uid, seconds, dashboard as annotation, $$ and ${NAME} replaced,
    queries untouched."""
    kit.run("push")
    sent = _sent(kit)
    assert sent.path == "/api/v1/provisioning/folder/qytet/rule-groups/Fleet%20%26%20more"
    assert (sent.body["title"], sent.body["folderUid"], sent.body["interval"]) == (
        "Fleet & more",
        "qytet",
        60,
    )
    rule = sent.body["rules"][0]
    assert (rule["folderUID"], rule["ruleGroup"], rule["for"]) == ("qytet", "Fleet & more", "300s")
    assert rule["annotations"] == {
        "summary": "{{ $labels.device }} of Tiranë",
        "price": "5 $",
        "__dashboardUid__": "qytet-fleet-sq",
        "__panelId__": "2",
    }
    assert rule["data"][0]["model"]["rawSql"] == "select $__timeFilter(t), '$$x'"


def test_rules_are_locked_unless_told(kit: Kit) -> None:
    """Pushed rules are locked in Grafana's pages; --editable-alerts leaves them open by X-Disable-Provenance."""
    kit.run("push")
    assert "x-disable-provenance" not in _sent(kit).headers
    kit.grafana.requests.clear()
    kit.run("push", "--editable-alerts")
    assert _sent(kit).headers["x-disable-provenance"] == "true"
    kit.grafana.requests.clear()
    assert kit.run("push", "--editable-alerts").code == 0
    assert kit.grafana.writes == []


def test_changed_rule_is_written_and_shown(kit: Kit) -> None:
    """A rule that its file changed is shown by field, and its group is written whole, once."""
    kit.run("push")
    _rules(kit, **{"for": "10m"})
    found = [each for each in kit.run("diff", "--json").json["findings"] if each["state"] == "update"]
    assert [each["differences"] for each in found] == [
        [
            {
                "panel": "Device silent",
                "how": "changed",
                "changes": [{"path": "for", "server": 300.0, "files": 600.0}],
            }
        ]
    ]
    kit.grafana.requests.clear()
    assert kit.states("push")[_GROUP] == "written"
    assert len(kit.grafana.writes) == 1
    assert kit.run("diff").code == 0


def test_unlocked_rules_that_differ_are_kept(kit: Kit) -> None:
    """Rules that Grafana does not lock may hold edits by hand: they stay until told, by name or by force."""
    kit.run("push", "--editable-alerts")
    kit.grafana.groups["qytet", "Fleet & more"]["rules"][0]["title"] = "By hand"
    assert kit.states("push")[_GROUP] == "kept"
    assert kit.grafana.groups["qytet", "Fleet & more"]["rules"][0]["title"] == "By hand"
    assert kit.states("push", "--overwrite-edited", "qytet/Fleet & more")[_GROUP] == "written"


def test_rule_added_by_hand_is_seen(kit: Kit) -> None:
    """A rule that somebody put into our group is not removed by a push without a word."""
    kit.run("push", "--editable-alerts")
    extra = {"uid": "mine", "title": "Mine", "for": "1m", "data": []}
    kit.grafana.groups["qytet", "Fleet & more"]["rules"].append(extra)
    assert kit.states("push", "--editable-alerts")[_GROUP] == "kept"
    assert "- Mine" in kit.run("diff").out


def test_rules_of_files_cannot_be_pushed(kit: Kit) -> None:
    """Rules that files on Grafana's machine manage are named as such, and not tried."""
    kit.run("push")
    kit.grafana.groups["qytet", "Fleet & more"]["rules"][0]["provenance"] = "file"
    _rules(kit, title="Other")
    kit.grafana.requests.clear()
    outcome = kit.run("push", "--force")
    assert outcome.code == 1
    assert "managed by a file" in outcome.out
    assert kit.grafana.writes == []


def test_contacts_and_policies_only_when_told(kit: Kit) -> None:
    """Without being told a push touches neither contact points nor templates nor policies, and does not read them."""
    kit.run("push")
    assert not any(
        word in request.path for request in kit.grafana.requests for word in ("contact", "polic", "templ")
    )


def test_contacts_templates_and_policies(kit: Kit) -> None:
    """When told, each is written once, in the order in which they refer to one another, then not again."""
    told = ("--contact-points", "--policies")
    assert kit.run("push", *told).code == 0
    kinds = [request.path.split("/")[4] for request in kit.grafana.writes if "provisioning" in request.path]
    assert kinds == ["templates", "contact-points", "policies", "folder"]
    assert kit.grafana.points["op"]["settings"]["addresses"] == "operators@city.example"
    assert kit.grafana.policies["group_by"] == ["city"]
    kit.grafana.requests.clear()
    assert kit.run("push", *told).code == 0
    assert kit.run("diff", *told).code == 0
    assert kit.grafana.writes == []


def test_values_of_contact_points_are_not_shown(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a contact point's setting differs is shown, its values are not: they may hold a token."""
    kit.run("push", "--contact-points")
    monkeypatch.setenv("OPERATORS", "secret-address@city.example")
    outcome = kit.run("diff", "--contact-points", "--json")
    assert outcome.code == 1
    assert "settings.addresses" in outcome.out
    assert "secret-address" not in outcome.everything
    assert TOKEN not in outcome.everything


def test_unset_variable_becomes_nothing_and_is_noted(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ${NAME} that the environment does not hold becomes nothing, as in Grafana, and the push says which."""
    monkeypatch.delenv("CITY_NAME")
    outcome = kit.run("push")
    assert outcome.code == 0
    assert "CITY_NAME is not set" in outcome.out
    assert _sent(kit).body["rules"][0]["annotations"]["summary"] == "{{ $labels.device }} of "


def test_variables_of_contacts_matter_only_when_told(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What contact points lack in the environment is said only by a push that writes contact points."""
    monkeypatch.delenv("OPERATORS")
    assert "OPERATORS" not in kit.run("push").out
    assert "OPERATORS is not set" in kit.run("push", "--contact-points").out


def test_other_spellings_are_no_difference(kit: Kit) -> None:
    """Grafana writes 24h as 1d and fills in what a rule leaves out: a second push still writes nothing."""
    told = ("--policies",)
    path = kit.root / "alerting" / "contacts.yaml"
    content = yaml.safe_load(path.read_text())
    content["policies"] = [
        {"receiver": "operators", "routes": [{"repeat_interval": "24h", "group_wait": "90s"}]}
    ]
    path.write_text(yaml.safe_dump(content))
    kit.run("push", *told)
    kit.grafana.policies["routes"] = [{"repeat_interval": "1d", "group_wait": "1m30s", "continue": False}]
    rule = kit.grafana.groups["qytet", "Fleet & more"]["rules"][0]
    rule |= {"keep_firing_for": "0s", "notification_settings": None, "record": None}
    rule["data"][1]["relativeTimeRange"] = {"from": 0, "to": 0}
    kit.grafana.requests.clear()
    assert kit.run("push", *told).code == 0
    assert kit.grafana.writes == []


def test_our_own_files_can_be_pushed(kit: Kit) -> None:
    """The files that the project generates go to a Grafana whole, contact points and policies too, and only once."""
    ours = Kit(files.PROVISIONED, kit.grafana)
    told = ("--contact-points", "--policies")
    assert ours.run("push", *told).code == 0
    assert len(kit.grafana.dashboards) == len(list(files.PROVISIONED.glob("dashboards/*/*.json"))) > 0
    assert kit.grafana.groups
    kit.grafana.requests.clear()
    outcome = ours.run("push", *told)
    assert outcome.code == 0, outcome.out
    assert kit.grafana.writes == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("- 1", "no table"),
        ("a: [", "cannot be read"),
        ("muteTimes: []", "muteTimes"),
        ("groups: [{name: x, folder: Elsewhere, rules: []}]", "Elsewhere"),
        ("groups: [{name: x}]", "folder"),
        ("groups: [{name: x, folder: Qytet, interval: soon, rules: []}]", "duration"),
        ("policies: [{receiver: a}, {receiver: b}]", "2 trees"),
    ],
)
def test_bad_alert_files(kit: Kit, content: str, words: str) -> None:
    """A file of alerting that Grafana would not take, or that we cannot bring there, is named and refused."""
    for path in (kit.root / "alerting").iterdir():
        path.unlink()
    (kit.root / "alerting" / "x.yaml").write_text(content)
    outcome = kit.run("push", "--policies")
    assert isinstance(outcome.error, InputError)
    assert words in str(outcome.error)
    assert kit.grafana.requests == []


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30), ("1m30s", 90), ("1h", 3600), ("1d", 86400), (60, 60), ("500ms", 0.5)]
)
def test_durations(text: object, expected: float) -> None:
    """Durations are read as Prometheus writes them, whatever their spelling."""
    assert alert_files.seconds(text) == expected
