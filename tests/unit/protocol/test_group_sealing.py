"""What is sealed to a group opens for its members, as what it is and for nothing else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from appliance.model.codec import FormatError, encode
from appliance.model.group import GroupId
from appliance.model.group_note import GroupKey
from appliance.model.identity import StationKey
from appliance.model.message import MAX_TEXT_CHARS, Text
from appliance.model.record import RecordKind
from appliance.model.secret import Secret
from appliance.protocol.group_sealing import NONCE_SIZE, open_to_group, seal_to_group
from appliance.protocol.sealing import OpenError, pad

ANN, BEN = (StationKey.from_bytes(bytes([n]) * 32).id for n in (1, 2))
GROUP, OTHER = GroupId(b"g" * 32), GroupId(b"h" * 32)
KEY, WRONG = (GroupKey(Secret(bytes([n]) * 32), b"") for n in (3, 4))
HEADS = (b"a" * 32, b"b" * 32)
NONCE = bytes(range(NONCE_SIZE))


def sealed(content: bytes = b"hello", heads: tuple[bytes, ...] = HEADS) -> bytes:
    return seal_to_group(
        content,
        author=ANN,
        group=GROUP,
        kind=RecordKind.MESSAGE,
        key=KEY,
        heads=heads,
        nonce=NONCE,
    )


def test_members_open_it_and_see_what_its_author_knew() -> None:
    opened = open_to_group(sealed(), author=ANN, group=GROUP, kind=RecordKind.MESSAGE, key=KEY)
    assert opened == (b"hello", (b"a" * 8, b"b" * 8))


@pytest.mark.parametrize(
    "changed",
    [
        {"author": BEN},
        {"group": OTHER},
        {"kind": RecordKind.RECEIPT},
        {"key": WRONG},
    ],
)
def test_it_means_nothing_anywhere_else(changed: dict[str, object]) -> None:
    bound = {"author": ANN, "group": GROUP, "kind": RecordKind.MESSAGE, "key": KEY} | changed
    with pytest.raises(OpenError):
        open_to_group(sealed(), **bound)  # type: ignore[arg-type]


def test_damage_is_noticed_everywhere() -> None:
    whole = sealed()
    cut = [whole[:length] for length in (0, 1, NONCE_SIZE, NONCE_SIZE + 15, len(whole) - 1)]
    flipped = [
        whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        for place in range(0, len(whole), 7)
    ]
    for damaged in [*cut, *flipped, whole + b"x"]:
        with pytest.raises(OpenError):
            open_to_group(damaged, author=ANN, group=GROUP, kind=RecordKind.MESSAGE, key=KEY)


@pytest.mark.parametrize(
    "inside",
    [
        pad(b"no list"),
        pad(encode([[], "text"])),
        pad(encode([[b"short"], b""])),
        pad(encode([[bytes(8)] * 9, b""])),
        pad(encode([[], b"", b""])),
        b"no padding",
        encode([[], b""]),
    ],
)
def test_a_member_that_seals_something_else_is_refused(inside: bytes) -> None:
    bound = b"fencewire/group-seal/1\0" + ANN.key + GROUP.value + b"\x02" + KEY.id_in(GROUP)
    wrong = NONCE + ChaCha20Poly1305(KEY.secret.value).encrypt(NONCE, inside, bound)
    with pytest.raises(FormatError):
        open_to_group(wrong, author=ANN, group=GROUP, kind=RecordKind.MESSAGE, key=KEY)


def test_lengths_tell_little_and_the_longest_text_fits() -> None:
    assert len(sealed(b"yes")) == len(sealed(b"no, not at all"))
    longest = Text(ANN, "\U0001f600" * MAX_TEXT_CHARS).encode()
    many = tuple(bytes([number]) * 32 for number in range(60))
    content, heads = open_to_group(
        sealed(longest, many), author=ANN, group=GROUP, kind=RecordKind.MESSAGE, key=KEY
    )
    assert content == longest
    assert len(heads) == 8
    with pytest.raises(ValueError, match="sealed"):
        sealed(bytes(80_000))


def test_a_key_has_another_name_in_each_group_and_shows_itself_nowhere() -> None:
    assert KEY.id_in(GROUP) != KEY.id_in(OTHER)
    assert KEY.secret.value.hex() not in repr(KEY)
    assert repr(KEY.secret.value) not in repr(KEY)
