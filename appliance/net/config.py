"""What the operator may set about the network: a small TOML file.

    exclude = ["eth1", "wl*"]     # interfaces that are never touched, as shell patterns
    country = "DE"                # what radios may do depends on it

    [rate_kbit]                   # links that are slower than their socket
    eth0 = 2000

Nothing in it is needed.  What is not understood is an error: a misspelt `exclude` must not leave an
interface unprotected.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from appliance.protocol.queue_plan import LEAST_KBIT, MOST_KBIT

DEFAULT_PATH: Final = Path("/etc/fencewire/net.toml")
MAX_BYTES: Final = 64 * 1024
MAX_ITEMS: Final = 256
MAX_PATTERN_CHARS: Final = 64
_COUNTRY: Final = re.compile(r"[A-Z]{2}|00")
_NAME: Final = re.compile(r"[^\s/:]{1,15}")
"""What the kernel takes as the name of an interface."""


class ConfigError(ValueError):
    """The file is wrong; the message names the setting and says what belongs there."""


@dataclass(frozen=True)
class NetConfig:
    """The operator's settings of the network."""

    exclude: tuple[str, ...] = ()
    """Shell patterns of interfaces that we do not touch."""

    country: str | None = None
    """ISO 3166 code in capitals, for what radios may do; 00 is the whole world."""

    rate_kbit: Mapping[str, int] = field(default_factory=dict)
    """By interface: how much may be sent on it in a second, where that is less than it seems."""

    def excludes(self, name: str) -> bool:
        """Whether the interface of that name is not to be touched."""
        return any(fnmatchcase(name, pattern) for pattern in self.exclude)


def load_config(path: Path) -> NetConfig:
    """Read the file; without one, the defaults.  Raises ConfigError, also if it can't be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return NetConfig()
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes.")
    try:
        return parse_config(data.decode())
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8.") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_config(text: str) -> NetConfig:
    """Read the text of the file; raises ConfigError."""
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"This is not TOML: {error}.") from None
    unknown = sorted(set(values) - {"exclude", "country", "rate_kbit"})
    if unknown:
        raise ConfigError(
            f"There is no setting {unknown[0]!r}; there are exclude, country and rate_kbit."
        )
    return NetConfig(
        exclude=_exclude(values.get("exclude", [])),
        country=_country(values.get("country")),
        rate_kbit=_rates(values.get("rate_kbit", {})),
    )


def _exclude(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ConfigError('exclude is a list of interfaces, such as ["eth1", "wl*"].')
    for pattern in value:
        if not isinstance(pattern, str) or not 0 < len(pattern) <= MAX_PATTERN_CHARS:
            raise ConfigError(f"exclude: {pattern!r} is no name or pattern of an interface.")
    return tuple(value)


def _country(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _COUNTRY.fullmatch(value):
        raise ConfigError('country is two capital letters, such as "DE".')
    return value


def _rates(value: object) -> Mapping[str, int]:
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        raise ConfigError("rate_kbit is a table with a line per interface, such as eth0 = 2000.")
    for name, rate_kbit in value.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"rate_kbit: {name!r} is no name of an interface.")
        # A bool is an int in Python.
        if type(rate_kbit) is not int or not LEAST_KBIT <= rate_kbit <= MOST_KBIT:
            raise ConfigError(
                f"rate_kbit: {name} takes a whole number from {LEAST_KBIT} to {MOST_KBIT}."
            )
    return dict(value)
