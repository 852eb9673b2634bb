"""Prekeys as they are kept outside of the database, and what is to be done to them.

They are operations like those on the store, and are carried out by `adapters/prekey_files`.  What
these can't do is a `StoreError` as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from appliance.model.record import PREKEY_ID_SIZE
from appliance.model.secret import Secret
from appliance.node.ports import Operation

SECRET_SIZE: Final = 32
"""Of X25519 (RFC 7748)."""

MAX_KEPT: Final = 32
"""Prekeys that are kept at all.  With the times of `node/prekeys` there are never more than 8."""


@dataclass(frozen=True)
class KeptPrekey:
    """One of our prekeys.  Times are seconds of being awake."""

    id: bytes
    """What others name it by, 8 bytes."""

    secret: Secret
    """What opens, 32 bytes."""

    created_s: float
    """When it was made."""

    retired_s: float | None = field(default=None)
    """When a card that names another one was on disk; None: it is in use."""

    def __post_init__(self) -> None:
        """Refuse what can't be one."""
        if len(self.id) != PREKEY_ID_SIZE or len(self.secret.value) != SECRET_SIZE:
            raise ValueError("no prekey has such a size")


@dataclass(frozen=True)
class KeepPrekey(Operation[None]):
    """Put a new prekey on disk."""

    prekey: KeptPrekey
    """It."""


@dataclass(frozen=True)
class RetirePrekey(Operation[None]):
    """Note when a prekey was last told to others."""

    prekey: bytes
    """Its id."""

    retired_s: float
    """Seconds of being awake."""


@dataclass(frozen=True)
class DestroyPrekey(Operation[None]):
    """Let nobody ever have a prekey again; one that is not there is destroyed already."""

    prekey: bytes
    """Its id."""


PrekeyOperation: TypeAlias = KeepPrekey | RetirePrekey | DestroyPrekey
