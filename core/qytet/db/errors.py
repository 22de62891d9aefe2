"""What goes wrong at the database.

ServerError
└── DatabaseError
    ├── TierError         the server offers another tier than the one this database was made on
    └── MigrationError    a migration was changed after it was applied, or failed
"""

from qytet.errors import ServerError

__all__ = ["DatabaseError", "MigrationError", "TierError"]


class DatabaseError(ServerError):
    """The database cannot be reached or used."""


class TierError(DatabaseError):
    """The server offers another tier than the one this database was made on."""


class MigrationError(DatabaseError):
    """A migration was changed after it was applied, or failed."""
