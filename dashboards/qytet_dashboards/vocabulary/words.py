"""The words of a dashboard in one language, from the platform's catalogue of messages."""

from dataclasses import dataclass

from qytet.messages import catalogue, text

__all__ = ["Words"]


@dataclass(frozen=True, slots=True)
class Words:
    """Looks up `section.name`; a dashboard's own section is named once."""

    language: str
    section: str = "boards"

    def of(self, section: str) -> "Words":
        """The same language, another section."""
        return Words(self.language, section)

    def __call__(self, name: str, **values: object) -> str:
        """The text of a name in this section, or of `section.name`. Raises NotFoundError."""
        return text(name if "." in name else f"{self.section}.{name}", self.language, **values)

    def about(self, name: str) -> str:
        """What a panel explains of itself: the text `NAME_about`. Raises NotFoundError."""
        return self(f"{name}_about")

    def property(self, name: str) -> str:
        """An observed property's name as people say it."""
        return text(f"property.{name}", self.language)

    def has(self, name: str) -> bool:
        """Whether there is such a text in this section."""
        return f"{self.section}.{name}" in catalogue(self.language)
