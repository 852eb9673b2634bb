"""Typed messages of any shape, for hypothesis: what their annotations allow."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
SIMPLE: Mapping[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(1 << 53), 1 << 53),
    float: st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15),
    bool: st.booleans(),
}


def any_of(union: Any, own: Mapping[Any, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """A message of any class in the union; `own` says what fields of further types may hold."""
    return st.one_of([_message(kind, {**SIMPLE, **own}) for kind in get_args(union)])


def _message(
    kind: type[Any], simple: Mapping[Any, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: _values(hint, simple) for name, hint in hints.items()})


def _values(hint: Any, simple: Mapping[Any, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    if hint in simple:
        return simple[hint]
    if get_origin(hint) in (Union, types.UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not type(None))
        return st.none() | _values(inner, simple)
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is ...:
            return st.lists(_values(kinds[0], simple), max_size=5).map(tuple)
        return st.tuples(*(_values(each, simple) for each in kinds))
    return _message(hint, simple)
