"""Frozen dataclasses to JSON and back, strictly.

`to_json` gives what `json.dumps` takes; `from_json` builds a dataclass from what `json.loads` gave
and raises `JsonShapeError`, and nothing else, when that does not fit.  What a class needs is worked
out from its type hints once and kept.  Known are str, int, float, bool, None, Literal, StrEnum,
``tuple[X, ...]``, ``dict[str, object]``, unions with None and nested dataclasses; a class with
anything else is a mistake of ours and raises TypeError at its first use.

This module knows no class of the API; their shapes stand in `schema` and `requests`.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar

T = TypeVar("T")
Decoder: TypeAlias = Callable[[object], object]

_MAX_SHOWN_CHARS: Final = 40
"""Of a wrong value, so that no message text is repeated in an error."""


_names: dict[type, tuple[str, ...]] = {}
_decoders: dict[type, Decoder] = {}
"""By class; as many as there are classes in the API."""


class JsonShapeError(ValueError):
    """Some JSON does not have the shape that is wanted; says where: ``recipients[2].state: …``."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.where = where

    def inside(self, outer: str) -> JsonShapeError:
        """Return the same error as seen from the value around it."""
        joint = "." if self.where and not self.where.startswith("[") else ""
        return JsonShapeError(self.text, f"{outer}{joint}{self.where}")

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


def as_text(told: str) -> str:
    """Return what can be sent of `told`: bytes of a kernel's name that are no text go missing.

    They are surrogates, which UTF-8 has no form for, and become question marks.
    """
    return told if told.isascii() else told.encode(errors="replace").decode()


def to_json(value: object) -> object:
    """Return `value` as dicts, lists and plain values.

    Raises TypeError for what JSON has no form for and ValueError for a float that is not finite.
    """
    if value is None or isinstance(value, str | bool | int):
        return value.value if isinstance(value, StrEnum) else value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("JSON has no form for a number that is not finite")
        return value
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: to_json(getattr(value, name)) for name in _field_names(type(value))}
    raise TypeError(f"JSON has no form for {type(value).__name__}")


def from_json(cls: type[T], data: object, *, reject_unknown: bool = False) -> T:
    """Build the dataclass `cls`; a field that is missing takes its default, if it has one.

    Fields that `cls` does not have are ignored, so that a newer daemon can be read by an older
    client, or refused with `reject_unknown`, so that a request never silently means less than its
    author thought.  Raises JsonShapeError.
    """
    if reject_unknown and isinstance(data, dict):
        unknown = sorted(str(key) for key in data.keys() - set(_field_names(cls)))
        if unknown:
            raise JsonShapeError("there is no such field", unknown[0][:_MAX_SHOWN_CHARS])
    built = _class_decoder(cls)(data)
    assert isinstance(built, cls)
    return built


def _field_names(cls: type) -> tuple[str, ...]:
    names = _names.get(cls)
    if names is None:
        names = _names[cls] = tuple(field.name for field in fields(cls))
    return names


def _wrong(wanted: str, value: object) -> JsonShapeError:
    shown = "null" if value is None else type(value).__name__
    return JsonShapeError(f"should be {wanted}, not {shown}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong("text", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise JsonShapeError("has half a surrogate pair, which is no text") from None
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong("a whole number", value)
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong("a number", value)
    try:
        number = float(value)
    except OverflowError:
        raise JsonShapeError("is too large a number") from None
    if not math.isfinite(number):
        raise JsonShapeError("should be a finite number")
    return number


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _nothing(value: object) -> None:
    if value is not None:
        raise _wrong("null", value)


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _wrong("an object", value)
    return value


_PLAIN: Final[dict[object, Decoder]] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _boolean,
    type(None): _nothing,
    dict[str, object]: _mapping,
}


def _decoder(hint: object) -> Decoder:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return _literal_decoder(arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _tuple_decoder(_decoder(arguments[0]))
    if (
        origin in (typing.Union, types.UnionType)
        and type(None) in arguments
        and len(arguments) == 2
    ):
        (other,) = (item for item in arguments if item is not type(None))
        return _optional_decoder(_decoder(other))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_decoder(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return _class_decoder(hint)
    raise TypeError(f"the API has no JSON form for {hint!r}")


def _literal_decoder(allowed: tuple[object, ...]) -> Decoder:
    choices = frozenset(allowed)

    def decode(value: object) -> object:
        if not isinstance(value, str) or value not in choices:
            raise JsonShapeError("should be one of " + ", ".join(str(item) for item in allowed))
        return value

    return decode


def _enum_decoder(enum: type[StrEnum]) -> Decoder:
    literal = _literal_decoder(tuple(member.value for member in enum))
    return lambda value: enum(str(literal(value)))


def _optional_decoder(decode_some: Decoder) -> Decoder:
    return lambda value: None if value is None else decode_some(value)


def _tuple_decoder(decode_item: Decoder) -> Decoder:
    def decode(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _wrong("a list", value)
        items = []
        for index, item in enumerate(value):
            try:
                items.append(decode_item(item))
            except JsonShapeError as error:
                raise error.inside(f"[{index}]") from None
        return tuple(items)

    return decode


def _class_decoder(cls: type) -> Decoder:
    known = _decoders.get(cls)
    if known is None:
        known = _decoders[cls] = _make_class_decoder(cls)
    return known


def _make_class_decoder(cls: type) -> Decoder:
    hints = typing.get_type_hints(cls)
    plan: list[tuple[str, Decoder, bool]] = []
    for field in fields(cls):
        optional = field.default is not MISSING or field.default_factory is not MISSING
        plan.append((field.name, _decoder(hints[field.name]), optional))

    def decode(value: object) -> object:
        if not isinstance(value, dict):
            raise _wrong("an object", value)
        values = {}
        for name, decode_field, optional in plan:
            if name not in value:
                if optional:
                    continue
                raise JsonShapeError("is missing", name)
            try:
                values[name] = decode_field(value[name])
            except JsonShapeError as error:
                raise error.inside(name) from None
        return cls(**values)

    return decode
