"""Commands and events of the voice process as bytes: one CBOR map for each, strictly checked.

The map's ``type`` names the dataclass, the other keys are its fields, all of them and no more.
What a value means (is this a port, does this stream exist) stays out.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from appliance.model import codec
from appliance.model.media import MediaCommand, MediaEvent, SoundDevice
from appliance.model.secret import Secret

MAX_FRAME_BYTES = 32_768
"""Longest message between daemon and voice process."""

MAX_TEXT = 4_096
"""Characters of a text; paths are the longest."""

MAX_ITEMS = 512
"""Entries of a list; the histogram of lateness is the longest."""

MAX_INT = 1 << 53
"""Largest number, either sign."""

_Message = TypeVar("_Message")
_Check = Callable[[Any], Any]


class MediaWireError(ValueError):
    """The bytes are no message of ours."""


def encode(message: MediaCommand | MediaEvent) -> bytes:
    """A message as bytes; raises `MediaWireError` when it could not be read back."""
    data = codec.encode({"type": type(message).__name__, **_plain_fields(message)})
    if len(data) > MAX_FRAME_BYTES:
        raise MediaWireError("the message is too long")
    return data


def decode_command(data: bytes) -> MediaCommand:
    """What the daemon sent; raises `MediaWireError` and nothing else."""
    command: MediaCommand = _decode(data, _COMMANDS)
    return command


def decode_event(data: bytes) -> MediaEvent:
    """What the voice process sent; raises `MediaWireError` and nothing else."""
    event: MediaEvent = _decode(data, _EVENTS)
    return event


def _plain_fields(value: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.value
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, SoundDevice):
        return _plain_fields(value)
    return value


def _decode(data: bytes, known: dict[str, Callable[[dict[Any, Any]], Any]]) -> Any:
    try:
        value = codec.decode(data, limit=MAX_FRAME_BYTES)
    except codec.FormatError as error:
        raise MediaWireError(str(error)) from error
    if not isinstance(value, dict):
        raise MediaWireError("it is not a map")
    name = value.pop("type", None)
    if not isinstance(name, str) or name not in known:
        raise MediaWireError("its type is not known")
    return known[name](value)


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_TEXT or "\0" in value:
        raise MediaWireError("a text is expected")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or abs(value) > MAX_INT:
        raise MediaWireError("a whole number is expected")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > MAX_INT:
        raise MediaWireError("a number is expected")
    return float(value)


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise MediaWireError("true or false is expected")
    return value


def _secret(value: Any) -> Secret:
    if type(value) is not bytes or not 1 <= len(value) <= 64:
        raise MediaWireError("key material is expected")
    return Secret(value)


_SIMPLE: dict[Any, _Check] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _truth,
    Secret: _secret,
}


def _checker(hint: Any) -> _Check:
    """How a value of the type ``hint`` is checked."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_checker(hint)
    if get_origin(hint) in (Union, types.UnionType):
        inner = _checker(next(arg for arg in get_args(hint) if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    if get_origin(hint) is tuple:
        return _tuple_checker(_checker(get_args(hint)[0]))
    return _builder(hint)


def _enum_checker(kind: type[StrEnum]) -> _Check:
    def check(value: Any) -> StrEnum:
        try:
            return kind(_text(value))
        except ValueError as error:
            raise MediaWireError("it is not one of the known words") from error

    return check


def _tuple_checker(item: _Check) -> _Check:
    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise MediaWireError("a list is expected")
        return tuple(item(entry) for entry in value)

    return check


def _builder(kind: type[_Message]) -> Callable[[Any], _Message]:
    """Makes a dataclass of a map with exactly its fields."""
    checks = {name: _checker(hint) for name, hint in get_type_hints(kind).items()}

    def build(value: Any) -> _Message:
        if not isinstance(value, dict) or value.keys() != checks.keys():
            raise MediaWireError("fields are missing or unknown")
        return kind(**{name: check(value[name]) for name, check in checks.items()})

    return build


_COMMANDS = {kind.__name__: _builder(kind) for kind in get_args(MediaCommand)}
_EVENTS = {kind.__name__: _builder(kind) for kind in get_args(MediaEvent)}
