"""Texts exist in both languages and say the same."""

import string

import pytest

from qytet import messages
from qytet.catalogue import properties
from qytet.errors import NotFoundError


def placeholders(template: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_text_exists_in_both_languages() -> None:
    """Each key has a text in Albanian and in English with the same placeholders, and no other language."""
    for key, entry in messages._entries().items():
        assert set(entry) == set(messages.LANGUAGES), key
        assert all(text.strip() for text in entry.values()), key
        assert placeholders(entry["sq"]) == placeholders(entry["en"]), key


def test_every_property_has_a_name() -> None:
    """Each property of the catalogue has a name for people, and no name lacks its property."""
    named = {key.removeprefix("property.") for key in messages.catalogue("sq") if key.startswith("property.")}
    assert named == set(properties())


def test_text_fills_its_placeholders() -> None:
    """`text` gives the language asked for, with values filled in."""
    assert messages.text("age.seconds", "sq", n=5) == "para 5 s"
    assert messages.text("age.seconds", "en", n=5) == "5 s ago"


@pytest.mark.parametrize(("key", "language"), [("no.such", "sq"), ("age.seconds", "fr")])
def test_unknown_text_is_refused(key: str, language: str) -> None:
    """A key or a language that does not exist is an error, never an empty text."""
    with pytest.raises(NotFoundError):
        messages.text(key, language, n=1)
