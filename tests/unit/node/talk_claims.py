"""Claims of stations that are nobody's, for tests of talk groups."""

from __future__ import annotations

from random import Random

from talk_world import TalkWorld

from appliance.model.identity import StationKey
from appliance.model.record import Precedence
from appliance.node.effects import Send
from appliance.node.talk_channels import EVERYONE
from appliance.protocol.talk import Claim, TalkMessage, encode_talk


def a_claim(key: StationKey, random: Random, *, channel: bytes = EVERYONE) -> Claim:
    return Claim(
        channel=channel,
        speaker=key.id,
        nonce=random.randbytes(16),
        held=True,
        number=0,
        precedence=Precedence.ROUTINE,
        order=1,
        key_id=b"" if channel == EVERYONE else b"k" * 8,
        boot=b"b" * 8,
        count=1,
        wall_ms=0,
        sure=False,
    )


def new_key(random: Random) -> StationKey:
    return StationKey.from_bytes(random.randbytes(32))


def hand(world: TalkWorld, to: int, by: int, message: TalkMessage) -> list[Send]:
    """Let one station say something to another; returns what that one sends."""
    seat = world.seats[to]
    effects = seat.talk.received(world.seats[by].id, encode_talk(message), world.time())
    world.do(seat, effects)
    return [effect for effect in effects if isinstance(effect, Send)]
