"""The label on a node: a QR code of which device of which city it is and where it belongs, and the same in words.

Content of the code: `qytet:device/CITY/DEVICE?site=SITE` (RFC 3986; names have a-z, 0-9, - and _, so that nothing is
escaped; `?site=…` is left out if no site is known). No secret and no MAC address is in it.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import segno

from qytet.errors import InputError
from qytet_contract.topics import is_slug

__all__ = ["Label", "page", "png", "svg"]

_WIDTH_MM, _HEIGHT_MM = 62.0, 29.0
"""A common size of endless and die-cut label tape (62 mm x 29 mm)."""
_CODE_MM = 25.0
_EDGE_MM = 2.0
_QUIET = 4
"""Modules of white around a code (ISO/IEC 18004, 6.3.8)."""
_TEXT_MM = (4.4, 3.2, 3.2)
_LETTER = 0.62
"""Width of a bold sans-serif letter in units of its size, on the average; long names are made smaller by it."""


@dataclass(frozen=True, slots=True)
class Label:
    """Whose label; `site` may be empty."""

    city: str
    device: str
    site: str = ""

    def checked(self) -> "Label":
        """Itself. Raises InputError if a name is missing, or cannot be one."""
        for what, value in (("city", self.city), ("device", self.device), ("site", self.site or "none")):
            if not is_slug(value):
                raise InputError(
                    f"{value!r} cannot be a {what}." if value else f"No {what} is given.",
                    why="A name has 1 to 64 of a-z, 0-9, - and _.",
                )
        return self

    @property
    def content(self) -> str:
        """What the code says."""
        return f"qytet:device/{self.city}/{self.device}" + (f"?site={self.site}" if self.site else "")


def svg(label: Label) -> str:
    """The label as SVG, 62 mm x 29 mm."""
    matrix = _code(label).matrix
    side = len(matrix) + 2 * _QUIET
    dark = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z"
        for y, row in enumerate(matrix)
        for x, module in enumerate(row)
        if module
    )
    lines = "".join(_line(number, text) for number, text in enumerate((label.device, label.site, label.city)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_MM:g}mm" height="{_HEIGHT_MM:g}mm"'
        f' viewBox="0 0 {_WIDTH_MM:g} {_HEIGHT_MM:g}"><title>{escape(label.content)}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<svg x="{_EDGE_MM:g}" y="{_EDGE_MM:g}" width="{_CODE_MM:g}" height="{_CODE_MM:g}"'
        f' viewBox="0 0 {side} {side}" shape-rendering="crispEdges"><path d="{dark}"/></svg>'
        f'<g font-family="sans-serif">{lines}</g></svg>\n'
    )


def png(label: Label, scale: int = 8) -> bytes:
    """The code alone as PNG, `scale` pixels a module."""
    out = io.BytesIO()
    _code(label).save(out, kind="png", scale=scale, border=_QUIET)
    return out.getvalue()


def page(labels: Sequence[Label]) -> str:
    """A page to print (HTML, A4), which needs nothing but itself."""
    shown = "\n".join(f"<li>{svg(label)}</li>" for label in labels)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Labels</title><style>\n'
        "@page { size: A4; margin: 10mm } body { margin: 0 } ul { list-style: none; margin: 0; padding: 0; "
        "display: flex; flex-wrap: wrap; gap: 2mm }\n"
        "li { border: 0.2mm dashed #999; break-inside: avoid } li > svg { display: block }\n"
        f"</style></head><body><ul>\n{shown}\n</ul></body></html>\n"
    )


def _code(label: Label) -> segno.QRCode:
    """Level Q: a quarter of the code may be scratched or dirty."""
    return segno.make(label.content, error="q", micro=False)


def _line(number: int, text: str) -> str:
    x, y = 2 * _EDGE_MM + _CODE_MM, 9.0 + 6.5 * number
    size = min(_TEXT_MM[number], (_WIDTH_MM - _EDGE_MM - x) / (_LETTER * max(len(text), 1)))
    weight = ' font-weight="bold"' if number == 0 else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:.2f}"{weight}>{escape(text)}</text>'
