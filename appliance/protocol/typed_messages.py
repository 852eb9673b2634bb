"""Messages between the processes of one station as bytes: one CBOR map for each, strictly checked.

The map's ``type`` names the dataclass, the other keys are its fields, all of them and no more.
Fields may be str, int, float, bool, bytes, `Secret`, enumerations of strings, other dataclasses,
``X | None``, ``tuple[X, ...]`` and tuples of a fixed length.  What a value means (is this a port,
does this interface exist) stays out.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from appliance.model import codec
from appliance.model.secret import Secret

MAX_INT: Final = 1 << 53
"""Largest number, either sign."""

MAX_SECRET_BYTES: Final = 64

_Check = Callable[[Any], Any]


@dataclass(frozen=True)
class Limits:
    """How much the messages of a protocol may hold."""

    frame_bytes: int
    """A whole message."""

    text_chars: int
    """A text."""

    items: int
    """Entries of a list."""

    blob_bytes: int = 0
    """Exact length of a field of bytes."""


class Wire:
    """Writes and reads messages; raises the protocol's own error and nothing else."""

    def __init__(self, error: type[ValueError], limits: Limits) -> None:
        """`error`: what is raised for bytes that are no such message."""
        self._error = error
        self._limits = limits
        self._simple: dict[Any, _Check] = {
            str: self._text,
            int: self._integer,
            float: self._number,
            bool: self._truth,
            bytes: self._blob,
            Secret: self._secret,
        }

    def encode(self, message: object) -> bytes:
        """A message as bytes; raises the error where there is text that is none, or too much."""
        try:
            data = codec.encode({"type": type(message).__name__, **_plain_fields(message)})
        except (ValueError, TypeError) as error:
            raise self._error("the message can't be written") from error
        if len(data) > self._limits.frame_bytes:
            raise self._error("the message is too long")
        return data

    def reader(self, union: Any) -> Callable[[bytes], Any]:
        """Make what reads one of the messages of `union`."""
        known = {kind.__name__: self._builder(kind) for kind in get_args(union)}

        def decode(data: bytes) -> Any:
            try:
                value = codec.decode(data, limit=self._limits.frame_bytes)
            except codec.FormatError as error:
                raise self._error(str(error)) from error
            if not isinstance(value, dict):
                raise self._error("it is not a map")
            name = value.pop("type", None)
            if not isinstance(name, str) or name not in known:
                raise self._error("its type is not known")
            return known[name](value)

        return decode

    def _text(self, value: Any) -> str:
        if type(value) is not str or len(value) > self._limits.text_chars or "\0" in value:
            raise self._error("a text is expected")
        return value

    def _integer(self, value: Any) -> int:
        if type(value) is not int or abs(value) > MAX_INT:
            raise self._error("a whole number is expected")
        return value

    def _number(self, value: Any) -> float:
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > MAX_INT:
            raise self._error("a number is expected")
        return float(value)

    def _truth(self, value: Any) -> bool:
        if type(value) is not bool:
            raise self._error("true or false is expected")
        return value

    def _blob(self, value: Any) -> bytes:
        if type(value) is not bytes or len(value) != self._limits.blob_bytes:
            raise self._error(f"{self._limits.blob_bytes} bytes are expected")
        return value

    def _secret(self, value: Any) -> Secret:
        if type(value) is not bytes or not 1 <= len(value) <= MAX_SECRET_BYTES:
            raise self._error("key material is expected")
        return Secret(value)

    def _checker(self, hint: Any) -> _Check:
        """How a value of the type ``hint`` is checked."""
        if hint in self._simple:
            return self._simple[hint]
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return self._enum_checker(hint)
        if get_origin(hint) in (Union, types.UnionType):
            inner = self._checker(next(arg for arg in get_args(hint) if arg is not type(None)))
            return lambda value: None if value is None else inner(value)
        if get_origin(hint) is tuple:
            kinds = get_args(hint)
            if kinds[-1] is ...:
                return self._list_checker(self._checker(kinds[0]))
            return self._tuple_checker([self._checker(kind) for kind in kinds])
        return self._builder(hint)

    def _enum_checker(self, kind: type[StrEnum]) -> _Check:
        def check(value: Any) -> StrEnum:
            try:
                return kind(self._text(value))
            except ValueError as error:
                raise self._error("it is not one of the known words") from error

        return check

    def _list_checker(self, item: _Check) -> _Check:
        def check(value: Any) -> tuple[Any, ...]:
            if not isinstance(value, list) or len(value) > self._limits.items:
                raise self._error("a list is expected")
            return tuple(item(entry) for entry in value)

        return check

    def _tuple_checker(self, items: list[_Check]) -> _Check:
        def check(value: Any) -> tuple[Any, ...]:
            if not isinstance(value, list) or len(value) != len(items):
                raise self._error(f"a list of {len(items)} is expected")
            return tuple(item(entry) for item, entry in zip(items, value, strict=True))

        return check

    def _builder(self, kind: type[Any]) -> _Check:
        """Makes a dataclass of a map with exactly its fields."""
        checks = {name: self._checker(hint) for name, hint in get_type_hints(kind).items()}

        def build(value: Any) -> Any:
            if not isinstance(value, dict) or value.keys() != checks.keys():
                raise self._error("fields are missing or unknown")
            return kind(**{name: check(value[name]) for name, check in checks.items()})

        return build


def _plain_fields(value: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.value
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return _plain_fields(value)
    return value
