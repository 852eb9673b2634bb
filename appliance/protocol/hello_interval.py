"""How often babeld says hello on a link (RFC 8966 section 3.4).

Often, where few are: a dead way is noticed after three missed hellos.  The bytes on a shared link
grow with the square of the routers on it, so where many are hellos are rare, and the interval
changes only well beyond a bound, since babeld has to take the link up anew for it.
"""

from __future__ import annotations

from typing import Final

STEPS: Final = ((6, 600), (12, 1000), (24, 2000), (10_000, 4000))
"""Up to how many neighbours, and the interval in milliseconds."""

UPDATES: Final = 8
"""Routes are repeated every so many hellos; news go at once."""


def hello_ms(neighbours: int, current_ms: int) -> int:
    """Return the interval for a link with so many neighbours; `current_ms` 0: none yet."""
    wanted = next(interval for limit, interval in STEPS if neighbours <= limit)
    if wanted >= current_ms:
        return wanted
    # Faster again only when half are left: somebody who comes and goes must not disturb all.
    relaxed = next(interval for limit, interval in STEPS if 2 * neighbours <= limit)
    return current_ms if relaxed >= current_ms else max(wanted, relaxed)
