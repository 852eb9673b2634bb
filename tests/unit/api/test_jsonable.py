"""Writing JSON and reading it back: strict, and nothing but the documented error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_backend import CLINIC, NOW, MemoryBackend

from appliance.api.jsonable import JsonShapeError, from_json, to_json
from appliance.api.schema import Message, Status, WallTime
from appliance.model.call import EndReason


@dataclass(frozen=True)
class Inner:
    kind: Literal["a", "b"]
    size: float


@dataclass(frozen=True)
class Outer:
    inners: tuple[Inner, ...]
    name: str | None = None
    reason: EndReason | None = None


def test_shapes_survive_the_way_there_and_back() -> None:
    backend = MemoryBackend()
    for shape in (backend.status(), backend.store(CLINIC, "h\u00e9 \U0001f600", author=CLINIC)):
        assert from_json(type(shape), json.loads(json.dumps(to_json(shape)))) == shape


def test_an_enum_is_its_value() -> None:
    outer = Outer(inners=(Inner("a", 1.5),), reason=EndReason.BUSY)
    data = to_json(outer)
    assert data == {"inners": [{"kind": "a", "size": 1.5}], "name": None, "reason": "busy"}
    assert from_json(Outer, data) == outer


def test_a_newer_daemon_may_say_more_and_a_request_may_not() -> None:
    data = {"inners": [], "colour": "red"}
    assert from_json(Outer, data) == Outer(())
    with pytest.raises(JsonShapeError, match=r"^colour: there is no such field$"):
        from_json(Outer, data, reject_unknown=True)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ([], "should be an object"),
        ({}, "inners: is missing"),
        ({"inners": {}}, "inners: should be a list"),
        ({"inners": [{"kind": "c", "size": 1}]}, "inners[0].kind: should be one of a, b"),
        ({"inners": [{"kind": "a", "size": True}]}, "inners[0].size: should be a number"),
        ({"inners": [{"kind": "a", "size": float("nan")}]}, "inners[0].size: should be a finite"),
        ({"inners": [{"kind": "a", "size": 10**400}]}, "inners[0].size: is too large"),
        ({"inners": [{"kind": ["a"], "size": 1}]}, "inners[0].kind: should be one of"),
        ({"inners": [], "name": "\ud800"}, "name: has half a surrogate pair"),
        ({"inners": [], "name": 1}, "name: should be text, not int"),
        ({"inners": [], "reason": "tired"}, "reason: should be one of hung-up"),
    ],
)
def test_a_wrong_shape_says_where(data: object, where: str) -> None:
    with pytest.raises(JsonShapeError) as caught:
        from_json(Outer, data)
    assert str(caught.value).startswith(where)


def test_a_whole_number_is_no_truth_value() -> None:
    with pytest.raises(JsonShapeError, match="sure"):
        from_json(WallTime, {"ms": 1, "sure": 1})
    with pytest.raises(JsonShapeError, match="ms"):
        from_json(WallTime, {"ms": True, "sure": True})
    assert from_json(WallTime, to_json(NOW)) == NOW


def test_what_json_has_no_form_for_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="not finite"):
        to_json(Inner("a", float("-inf")))
    with pytest.raises(TypeError):
        to_json(Inner("a", 1.0).__class__)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inners", "name", "kind", "size", "id", "text", "state"]), inner
        )
    ),
    max_leaves=12,
)


@given(data=_json)
def test_only_the_documented_error_comes_out(data: object) -> None:
    for cls in (Outer, Message, Status):
        try:
            from_json(cls, data)
        except JsonShapeError:
            continue
