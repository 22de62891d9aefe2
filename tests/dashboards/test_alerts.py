"""Alert rules, contact points and policies as files: identity, both languages, links, and what Grafana makes of it."""

import json
import re
from functools import cache
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
import yaml

from qytet_dashboards.alerts import FOLDER, RULES, RUNBOOKS, Rule, alerting_files
from qytet_dashboards.alerts.page import BEGIN, END, filled
from qytet_dashboards.alerts.rule import PAGES
from qytet_dashboards.boards import LANGUAGES
from qytet_dashboards.cities import cities
from qytet_dashboards.grafana.alert_files import read, seconds
from qytet_dashboards.provision import files, to_yaml
from tests.docs.markdown import ROOT
from tests.docs.test_pages import headings

# A rule's uid is what silences, history and links hang on: it is never changed, and never given to another rule.
UIDS = [
    "qytet-air-very-poor",
    "qytet-chlorine-low",
    "qytet-city-silent",
    "qytet-dead-letters",
    "qytet-device-silent",
    "qytet-disk-full",
    "qytet-gateway-silent",
    "qytet-ingest-lag",
    "qytet-ingest-stopped",
    "qytet-lamps-by-day",
    "qytet-lamps-dark",
    "qytet-lane-stuck",
    "qytet-night-flow-high",
    "qytet-readings-missing",
    "qytet-rollups-behind",
    "qytet-tank-level",
]
EACH = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
HOW_TO = ROOT / "docs/how-to"


@cache
def generated(language: str) -> dict[str, str]:
    """All files in a language."""
    return files(cities(), language)


def content(rule: Rule, language: str = "sq") -> dict[str, Any]:
    """The rule as its file has it."""
    groups = alerting_files(language)["rules.yaml"]["groups"]
    return next(one for group in groups for one in group["rules"] if one["uid"] == rule.uid)


def test_uids_are_stable() -> None:
    """A rule keeps its uid, no two have the same one, and Grafana accepts it."""
    assert sorted(rule.uid for rule in RULES) == UIDS
    assert all(re.fullmatch(r"[a-z-]{1,40}", uid) for uid in UIDS)


def test_titles_differ() -> None:
    """Within a folder no two rules have the same title, which Grafana refuses, in either language."""
    for language in LANGUAGES:
        assert len({rule.title(language) for rule in RULES}) == len(RULES)


@EACH
def test_a_rule_speaks_both_languages(rule: Rule) -> None:
    """One alert says in Albanian and English what it is, what happened and what to do, naming the same labels."""
    made = content(rule)
    notes = made["annotations"]
    assert made["title"] == f"{rule.title('sq')} · {rule.title('en')}"
    for name in ("summary", "description"):
        said, english = notes[name], notes[f"{name}_en"]
        assert said != english
        assert len(said) > 20
        assert len(english) > 20
        assert sorted(re.findall(r"\$labels\.\w+", said)) == sorted(re.findall(r"\$labels\.\w+", english))
    assert "Së pari:" in notes["description"]
    assert "First:" in notes["description_en"]


@EACH
def test_texts_name_labels_that_the_query_gives(rule: Rule) -> None:
    """Grafana fills an annotation's labels from the query alone: each one named is one of its columns."""
    notes = content(rule)["annotations"]
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(notes.values())))
    assert named <= set(re.findall(r"\bas (\w+)", rule.sql))


@EACH
def test_labels_route_a_rule(rule: Rule) -> None:
    """Every alert has a priority, a domain, a city and an outage, by which it is routed and grouped, each once."""
    labels = content(rule)["labels"]
    columns = set(re.findall(r"\bas (\w+)", rule.sql))
    assert labels["severity"] in ("low", "medium", "high")
    assert labels["domain"] == rule.domain
    assert {"city", "outage"} <= labels.keys() | columns
    assert not labels.keys() & columns


@EACH
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_runbook_is_there(rule: Rule, language: str) -> None:
    """The link of an alert leads to a heading that exists, in both languages' pages."""
    address = urlparse(content(rule, language)["annotations"]["runbook_url"])
    page = ROOT / address.path
    assert page == HOW_TO / PAGES[language]
    assert unquote(address.fragment) in headings(page)
    assert unquote(urlparse(rule.runbook(language, RUNBOOKS)).fragment) == unquote(address.fragment)


def test_runbooks_may_lie_elsewhere() -> None:
    """A city that serves the pages names their address, and every rule leads there."""
    made = alerting_files("en", "https://wiki.example/qytet/")["rules.yaml"]
    links = [rule["annotations"]["runbook_url"] for group in made["groups"] for rule in group["rules"]]
    assert all(link.startswith("https://wiki.example/qytet/alerts.md#") for link in links)


@EACH
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_alert_shows_its_panel(rule: Rule, language: str) -> None:
    """The dashboard and the panel that an alert names are those that we generate, and the panel asks the database."""
    made = content(rule, language)
    notes = made["annotations"]
    assert (notes["__dashboardUid__"], notes["__panelId__"]) == (made["dashboardUid"], str(made["panelId"]))
    board = json.loads(generated(language)[f"dashboards/qytet/{made['dashboardUid']}.json"])
    panels = [one for panel in board["panels"] for one in (panel, *panel.get("panels", ()))]
    (shown,) = [panel for panel in panels if panel["id"] == made["panelId"]]
    assert shown["targets"]


@EACH
def test_states_are_chosen(rule: Rule) -> None:
    """No rule but one fires for a database that cannot be asked; a rule with a row a city may have none of them."""
    made = content(rule)
    is_stop = rule.name == "ingest_stopped"
    assert made["execErrState"] == ("Alerting" if is_stop else "KeepLast")
    if "from qytet.city" in rule.sql and rule.name != "dead_letters":
        assert made["noDataState"] == "OK"
    else:
        assert made["noDataState"] == ("Alerting" if is_stop else "NoData")


@EACH
def test_a_gap_pages_nobody(rule: Rule) -> None:
    """Whatever fires has held for a while, and not less than two evaluations of what changes by the minute."""
    groups = alerting_files("sq")["rules.yaml"]["groups"]
    interval = next(
        group["interval"] for group in groups if rule.uid in {one["uid"] for one in group["rules"]}
    )
    assert seconds(rule.lasting) >= seconds(interval)
    assert seconds(rule.lasting) >= 120


def test_rules_have_a_folder_of_their_own() -> None:
    """No folder of dashboards bears the title of the rules' folder, and a push knows it."""
    for language in LANGUAGES:
        made = generated(language)
        titles = yaml.safe_load(made["folders.json"])
        providers = yaml.safe_load(made["providers/qytet.yaml"])["providers"]
        folder = {group["folder"] for group in alerting_files(language)["rules.yaml"]["groups"]}
        assert folder == {titles[FOLDER]}
        assert not folder & {provider["folder"] for provider in providers}


def expanded(value: str, environment: dict[str, str]) -> str:
    """What Grafana makes of a text in a contact point or a policy: a variable that is not set becomes nothing."""
    assert "$" not in re.sub(r"\$\{QYTET_ALERTS_(EMAIL|WEBHOOK|VIA)\}", "", value), value
    return re.sub(r"\$\{(\w+)\}", lambda match: environment.get(match[1], ""), value)


def receivers(environment: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Each contact point's kinds and addresses, after Grafana has filled in its environment."""
    return {
        point["name"]: [
            (one["type"], expanded(one["settings"].get("addresses") or one["settings"]["url"], environment))
            for one in point["receivers"]
        ]
        for point in alerting_files("sq")["contact-points.yaml"]["contactPoints"]
    }


def test_without_an_address_nobody_is_written_to() -> None:
    """Grafana starts with no variable set: no contact point is empty, none has an address, the policy's one exists."""
    found = receivers({})
    chosen = expanded(alerting_files("sq")["policies.yaml"]["policies"][0]["receiver"], {})
    ((kind, addresses),) = found[chosen]
    assert (kind, [each for each in re.split("[;,\n]", addresses) if each]) == ("email", [])
    assert all(value for point in found.values() for _kind, value in point)
    assert not any(urlparse(value).netloc for point in found.values() for _kind, value in point)


@pytest.mark.parametrize(
    ("via", "kinds"), [("", ["email"]), ("-webhook", ["webhook"]), ("-both", ["email", "webhook"])]
)
def test_the_environment_says_who_is_told(via: str, kinds: list[str]) -> None:
    """Addresses and the way are the environment's: e-mail, the webhook, or both."""
    environment = {
        "QYTET_ALERTS_EMAIL": "a@b.example;c@d.example",
        "QYTET_ALERTS_WEBHOOK": "https://hook.example/x?y=1",
        "QYTET_ALERTS_VIA": via,
    }
    chosen = receivers(environment)[
        expanded(alerting_files("sq")["policies.yaml"]["policies"][0]["receiver"], environment)
    ]
    assert [kind for kind, _value in chosen] == kinds
    for kind, value in chosen:
        if kind == "email":
            assert [each for each in value.split(";") if each] == ["a@b.example", "c@d.example"]
        else:
            assert value.partition("#")[0] == environment["QYTET_ALERTS_WEBHOOK"]


def test_grafana_finds_no_variable_where_none_is_meant() -> None:
    """Rules' titles, folders and labels hold no `$`, annotations no `${`, and templates of notifications neither."""
    made = alerting_files("sq")
    for group in made["rules.yaml"]["groups"]:
        for rule in group["rules"]:
            assert "$" not in "".join(
                (group["name"], group["folder"], rule["title"], *rule["labels"].values())
            )
            assert "${" not in "".join(rule["annotations"].values())
            assert "$$" not in "".join(rule["annotations"].values())
    assert "$" not in made["templates.yaml"]["templates"][0]["template"]


def test_every_priority_has_a_route() -> None:
    """One route a priority, grouped by city; the more urgent, the sooner it is told and told again."""
    tree = alerting_files("sq")["policies.yaml"]["policies"][0]
    routes = {route["object_matchers"][0][2]: route for route in yaml_of(tree)["routes"]}
    assert set(routes) == {rule.priority for rule in RULES} == {"high", "medium", "low"}
    ordered = [routes[name] for name in ("high", "medium", "low")]
    for field in ("group_wait", "group_interval", "repeat_interval"):
        assert all(seconds(sooner[field]) < seconds(later[field]) for sooner, later in pairwise(ordered))
    assert all(route["group_by"][0] == "city" for route in ordered)
    assert routes["high"]["group_by"] == routes["medium"]["group_by"] == ["city", "outage"]


def yaml_of(value: object) -> Any:
    """What stands in the file, once the SDK's models are written."""
    return yaml.safe_load(to_yaml(value))


def test_templates_are_whole() -> None:
    """Each template that a contact point names is defined, and every block of it ends."""
    template = alerting_files("sq")["templates.yaml"]["templates"][0]["template"]
    defined = set(re.findall(r'{{-? ?define "([\w.]+)"', template))
    points = alerting_files("sq")["contact-points.yaml"]["contactPoints"]
    named = set(re.findall(r'template "([\w.]+)"', template + str(points)))
    assert named <= defined
    opened = re.findall(r"{{-? ?(?:define|if|with|range)\b", template)
    assert len(opened) == len(re.findall(r"{{-? ?end\b", template))


def test_a_push_understands_the_files(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is generated can be brought to a running Grafana, variables of the way filled in as Grafana would."""
    made = generated("sq")
    for name, text in made.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    folders = yaml.safe_load(made["folders.json"])
    known = read(tmp_path, folders)
    assert {rule["uid"] for group in known.groups for rule in group.json["rules"]} == set(UIDS)
    assert known.policies is None
    assert read(tmp_path, folders, policies=True).unset == ("QYTET_ALERTS_VIA",)
    for name in ("EMAIL", "WEBHOOK", "VIA"):
        monkeypatch.setenv(f"QYTET_ALERTS_{name}", "")
    told = read(tmp_path, folders, contact_points=True, policies=True)
    assert told.policies
    assert told.policies["receiver"] in {point["name"] for point in told.contact_points}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_lists_the_rules_that_are_there(language: str) -> None:
    """The table of rules in the guide is the one that the rules make (`python docs/alerts_page.py` writes it)."""
    page = (HOW_TO / PAGES[language]).read_text(encoding="utf-8")
    assert filled(page, language) == page
    assert filled(f"x{BEGIN}old{END}y", language) == filled(f"x{BEGIN}{END}y", language)


def test_a_page_without_marks_is_refused() -> None:
    """A page that lost the place of its table is not written over."""
    with pytest.raises(ValueError, match="lacks"):
        filled(f"no {BEGIN}", "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_rule_says_who_is_called(language: str) -> None:
    """Each alert's part of the guide says what it means, what to do first and whom to call."""
    page = (HOW_TO / PAGES[language]).read_text(encoding="utf-8")
    words = {"sq": ("Do të thotë.", "Së pari.", "Telefono."), "en": ("Means.", "First.", "Call.")}[language]
    for rule in RULES:
        part = page.partition(f"### {rule.title(language)}\n")[2].partition("\n#")[0]
        assert all(f"**{word}**" in part for word in words), rule.uid
