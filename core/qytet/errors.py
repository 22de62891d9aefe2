"""The error tree of the server side: what happened, why, and what to do about it.

QytetError
├── SettingsError        a setting is missing, malformed or unsafe
├── ServerError          a broker or a database cannot be started or reached
│   └── (qytet.embedded and qytet.db derive their own)
├── InputError           a file or an argument that a person gave is wrong
└── NotFoundError        what was asked for does not exist
"""

__all__ = ["InputError", "NotFoundError", "QytetError", "ServerError", "SettingsError"]


class QytetError(Exception):
    """An error fit to be shown to the person who can mend it.

    Attributes: `what` happened (a sentence), `why` (the cause as far as it is known, may be empty)
    and what to `do` (the next step, may be empty).
    """

    def __init__(self, what: str, *, why: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.do = do

    def __str__(self) -> str:
        """All three parts on one line, for logs."""
        return " ".join(part for part in (self.what, self.why, self.do) if part)


class SettingsError(QytetError):
    """A setting is missing, malformed or unsafe."""


class ServerError(QytetError):
    """A broker or a database cannot be started or reached."""


class InputError(QytetError):
    """A file or an argument that a person gave is wrong."""


class NotFoundError(QytetError):
    """What was asked for does not exist."""
