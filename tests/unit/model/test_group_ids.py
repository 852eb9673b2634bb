"""Ids of groups, as text and as keys of the store."""

import pytest

from appliance.model.codec import FormatError
from appliance.model.group import GroupId, conversation_key, conversation_of
from appliance.model.identity import IdentityError, StationId

GROUP = GroupId(bytes(range(32)))


def test_a_group_id_can_be_written_down_and_read_back() -> None:
    text = GROUP.text
    assert len(text) == 57
    assert text.startswith("g")
    assert GroupId.parse(text) == GROUP
    spoken = f" {text[:5].upper()}-{text[5:30]} {text[30:]}\n".replace("0", "o").replace("1", "l")
    assert GroupId.parse(spoken) == GROUP
    assert GROUP.tag == text[1:5]


@pytest.mark.parametrize("place", range(57))
def test_one_wrong_character_is_noticed(place: int) -> None:
    text = GROUP.text
    other = "7" if text[place] != "7" else "8"
    with pytest.raises(IdentityError):
        GroupId.parse(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize("text", ["", "g", "g" * 57, "g" * 10_000, "ß" * 57, " " * 57])
def test_other_text_is_no_group_id(text: str) -> None:
    with pytest.raises(IdentityError):
        GroupId.parse(text)


def test_a_station_is_never_taken_for_a_group() -> None:
    station = StationId(bytes(range(32)))
    with pytest.raises(IdentityError):
        GroupId.parse(station.text)
    with pytest.raises(IdentityError):
        StationId.parse(GROUP.text)


def test_each_conversation_has_a_key_of_its_own() -> None:
    conversations = [None, StationId(GROUP.value), GROUP]
    keys = [conversation_key(conversation) for conversation in conversations]
    assert [len(key) for key in keys] == [0, 32, 33]
    assert [conversation_of(key) for key in keys] == conversations


@pytest.mark.parametrize("key", [b"x", bytes(31), bytes(33), b"h" + bytes(32), bytes(34)])
def test_what_is_no_conversation_is_refused(key: bytes) -> None:
    with pytest.raises(FormatError):
        conversation_of(key)
