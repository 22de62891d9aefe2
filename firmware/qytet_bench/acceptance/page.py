"""The acceptance record as a page to print and sign: HTML that needs nothing but itself, A4."""

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

from qytet_bench.label import Label, svg

__all__ = ["page"]

_STATES = {"passed": "✓ passed", "failed": "✗ FAILED", "skipped": "– skipped"}
_PAGE = Template(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title><style>
@page { size: A4; margin: 15mm }
* { box-sizing: border-box }
body { font: 10pt/1.35 sans-serif; color: #000; max-width: 180mm; margin: 0 auto }
h1 { font-size: 15pt; margin: 0 } h2 { font-size: 11pt; margin: 6mm 0 1mm }
header { display: flex; justify-content: space-between; align-items: start; gap: 5mm }
.result { font-size: 13pt; font-weight: bold; padding: 1mm 3mm; border: .5mm solid; display: inline-block }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .8mm 1.5mm;
border-bottom: .2mm solid #999; overflow-wrap: anywhere }
tr { break-inside: avoid } th { font-weight: bold } .failed td { font-weight: bold }
.facts th { width: 38mm } .do { font-weight: normal; font-style: italic } .state { white-space: nowrap }
.label { border: .2mm dashed #999; break-inside: avoid } code { font-size: 8pt; overflow-wrap: anywhere }
.sign { margin-top: 14mm; display: flex; gap: 10mm } .sign div { flex: 1; border-top: .2mm solid; padding-top: 1mm }
</style></head><body>
<header><div><h1>$title</h1><p>$when</p><p class="result">$result</p></div><div class="label">$label</div></header>
<h2>Node</h2><table class="facts">$facts</table>
<h2>Checks</h2><table><tr><th>Check</th><th>Result</th><th>Seen</th><th>Expected</th></tr>$checks</table>
<h2>First reading in the database</h2>$reading
<div class="sign"><div>Technician: $technician</div><div>Received by</div></div>
<p><code>SHA-256 of the record: $sha256</code></p>
</body></html>
"""
)


def page(document: Mapping[str, Any]) -> str:
    """The page of a record."""
    label = Label(document["city"], document["device"], document["site"])
    return _PAGE.substitute(
        title=escape(f"Acceptance of {document['device']}"),
        when=escape(f"{document['started_at']} to {document['ended_at']}"),
        result=_result(document),
        label=svg(label),
        facts="".join(_fact(name, value) for name, value in _facts(document)),
        checks="".join(_check(check) for check in document["checks"]),
        reading=_reading(document["first_reading"]),
        technician=escape(document["technician"]),
        sha256=document["sha256"],
    )


def _result(document: Mapping[str, Any]) -> str:
    skipped = sum(check["state"] == "skipped" for check in document["checks"])
    more = f" (checks left out: {skipped})" if skipped else ""
    return ("Accepted" if document["result"] == "passed" else "Not accepted") + more


def _facts(document: Mapping[str, Any]) -> list[tuple[str, object]]:
    place, bench = document["place"], document["bench"]
    at = f" ({place['lat']:.5f}, {place['lon']:.5f})" if place["lat"] is not None else ""
    return [
        ("Device", document["device"]),
        ("City, site", f"{document['city']}, {place['site_name'] or document['site']}{at}"),
        ("Profile, board", f"{document['profile']}, {document['board']} {document['mac']}"),
        ("Program", document["firmware"] or "unknown"),
        ("Broker", f"{bench['broker']}, {'TLS' if bench['tls'] else 'PLAIN'}"),
        ("Platform", bench["api"]),
        ("Bench", f"qytet {bench['version']}, {'with' if bench['console'] else 'without'} the cable"),
        ("Note", document["note"] or "–"),
    ]


def _fact(name: str, value: object) -> str:
    return f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"


def _check(check: Mapping[str, Any]) -> str:
    do = f'<div class="do">{escape(check["do"])}</div>' if check["do"] else ""
    return (
        f'<tr class="{escape(check["state"])}"><td>{escape(check["title"])}</td>'
        f'<td class="state">{escape(_STATES[check["state"]])}</td>'
        f"<td>{escape(check['seen'])}{do}</td><td>{escape(check['expected'])}</td></tr>"
    )


def _reading(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "<p>None was seen.</p>"
    rows = "".join(
        _fact(key, "no value" if one["value"] is None else f"{one['value']:.6g} {one['ucum']}")
        for key, one in found["values"].items()
    )
    boot = f"boot {found['boot']}" if found["boot"] else "of the present boot or the one before"
    head = f"{found['t']}, {boot}; the present boot is stored up to record {found['stored_up_to_seq']}"
    return f'<p>{escape(head)}</p><table class="facts">{rows}</table>'
