"""The catalogue of observed properties with everything that people want to know of them, read from its file."""

import csv
from dataclasses import astuple, dataclass
from functools import cache
from importlib import resources

__all__ = ["Property", "properties"]


@dataclass(frozen=True, slots=True)
class Property:
    """One observed property. Outside fail_min..fail_max is QARTOD 4, outside suspect_min..suspect_max 3."""

    property: str
    domain: str
    ucum: str
    fail_min: float
    fail_max: float
    suspect_min: float
    suspect_max: float
    agg: str
    sampling: str
    core: bool
    sdm: str
    cf_name: str
    reference: str

    def as_row(self) -> tuple[object, ...]:
        """The fields in the order of store.property's columns."""
        return astuple(self)


@cache
def properties() -> dict[str, Property]:
    """All properties by name, in the catalogue's order."""
    text = resources.files("qytet_contract").joinpath("catalogue.csv").read_text(encoding="utf-8")
    return {row["property"]: _property(row) for row in csv.DictReader(text.splitlines())}


def _property(row: dict[str, str]) -> Property:
    return Property(
        property=row["property"],
        domain=row["domain"],
        ucum=row["ucum"],
        fail_min=float(row["fail_min"]),
        fail_max=float(row["fail_max"]),
        suspect_min=float(row["suspect_min"]),
        suspect_max=float(row["suspect_max"]),
        agg=row["agg"],
        sampling=row["sampling"],
        core=row["core"] == "Y",
        sdm=row["sdm"],
        cf_name=row["cf_standard_name"],
        reference=row["reference"],
    )
