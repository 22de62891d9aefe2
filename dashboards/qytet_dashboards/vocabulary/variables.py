"""The variables of a dashboard: city, site, device, channel, resolution; each narrows what the next offers."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.models import dashboard as models

from qytet_dashboards.vocabulary.sql import DATASOURCE, grafana_sql
from qytet_dashboards.vocabulary.words import Words

__all__ = ["ALL", "channel", "city", "device", "fixed_city", "resolution", "site"]

ALL = "'*'"  # Grafana inserts a custom All as it stands; the views' functions take an array of `*` for everything

_CITY = "select name as __text, city as __value from qytet.city order by name"
# Grafana offers each text once: of two sites with one name the second could not be chosen.
_SITE = """
select case when count(*) over (partition by name) > 1 then name || ' · ' || site else name end as __text,
site as __value
from (select name, site from qytet.site where qytet.chosen(city, :cities) group by name, site) s order by name, site
"""
_DEVICE_OF = """
select device as __text, device as __value from qytet.datastream
where qytet.chosen(city, :cities) and qytet.chosen(site, :sites) and domain = '{domain}' group by device order by device
"""
_ANY_DEVICE = """
select device as __text, device as __value from qytet.device
where qytet.chosen(city, :cities) and qytet.chosen(site, :sites) order by device
"""
_CHANNEL = """
select coalesce(nullif(channel, ''), '-') as __value from qytet.datastream
where qytet.chosen(city, :cities) and qytet.chosen(site, :sites) and qytet.chosen(device, :devices)
and domain = '{domain}' group by 1 order by 1
"""
_ANY_CHANNEL = """
select coalesce(nullif(channel, ''), '-') as __value from qytet.datastream
where qytet.chosen(city, :cities) and qytet.chosen(site, :sites) and qytet.chosen(device, :devices)
group by 1 order by 1
"""
_RESOLUTIONS = ("auto", "raw", "15min", "hour", "day")


def city(words: Words) -> builders.QueryVariable:
    """All cities, or some."""
    return _query("city", words("boards.city"), _CITY)


class fixed_city(cogbuilder.Builder[models.VariableModel]):  # noqa: N801 - reads like its neighbours
    """One city, not to be chosen: the overview of a city. Hidden, which the SDK's builder of constants cannot say."""

    def __init__(self, slug: str) -> None:
        self._slug = slug

    def build(self) -> models.VariableModel:
        """The variable in Grafana's model."""
        variable = builders.ConstantVariable("city").value(self._slug).build()
        variable.hide = models.VariableHide.HIDE_VARIABLE
        return variable


def site(words: Words) -> builders.QueryVariable:
    """The sites of the chosen cities."""
    return _query("site", words("boards.site"), _SITE)


def device(words: Words, domain: str = "") -> builders.QueryVariable:
    """The devices of the chosen sites; of one domain only (they have a datastream in it), or all."""
    return _query(
        "device", words("boards.device"), _DEVICE_OF.replace("{domain}", domain) if domain else _ANY_DEVICE
    )


def channel(words: Words, domain: str = "") -> builders.QueryVariable:
    """The channels (lanes, lamps, phases) of the chosen devices, of one domain or any; `-` is none."""
    return _query(
        "channel", words("boards.channel"), _CHANNEL.replace("{domain}", domain) if domain else _ANY_CHANNEL
    )


def resolution(words: Words) -> builders.CustomVariable:
    """How fine: by the range (auto), or as said."""
    options = [
        models.VariableOption(text=words(f"boards.resolution_{name}"), value=name, selected=name == "auto")
        for name in _RESOLUTIONS
    ]
    pairs = ",".join(f"{option.text} : {option.value}" for option in options)
    return (
        builders.CustomVariable("resolution")
        .label(words("boards.resolution"))
        .values(pairs)
        .options(options)
        .current(options[0])
        .multi(False)
        .include_all(False)
    )


def _query(name: str, label: str, text: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(grafana_sql(text))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.DISABLED)
        .multi(True)
        .include_all(True)
        .all_value(ALL)
        .current(models.VariableOption(text=["All"], value=["$__all"], selected=True))
    )
