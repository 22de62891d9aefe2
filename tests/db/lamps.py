"""What a lamp draws, computed apart from the database."""


def expected(rated, level):
    """Watts of a lamp of `rated` W at `level` percent, by the formula of the table of fault rules."""
    return 0.5 + (rated - 0.5) * (0.05 + 0.95 * level / 100) if level else 0.0
