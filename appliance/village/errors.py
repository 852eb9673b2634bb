"""The one exception that the village raises for what its user can mend."""


class VillageError(Exception):
    """What happened and what to do next, in words for the person at the keyboard."""
