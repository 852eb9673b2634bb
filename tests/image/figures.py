"""What image tests measured, for the table at the end of a run."""


class Figures:
    """What was measured, in the order in which it is shown."""

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self._rows = rows

    def add(self, what: str, value: str) -> None:
        """One row of the table."""
        self._rows.append((what, value))
