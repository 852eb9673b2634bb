"""Our own key: pressed, waiting for its turn, speaking, over.

There is one, since there is one microphone.  What it has to say to others are claims.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from appliance.model.identity import StationKey
from appliance.model.record import Precedence
from appliance.model.talk import KeyState
from appliance.node.beginnings import Now
from appliance.protocol.talk import LIMIT_S, NONCE_SIZE, REFRESH_S, Claim, Flooded, make_claim

WAIT_S: Final = 60.0
"""How long a pressed key waits for its turn: nobody shall be heard who has long forgotten it."""

_ALLOWED: Final = frozenset(
    {
        (KeyState.UP, KeyState.SPEAKING),
        (KeyState.UP, KeyState.WAITING),
        (KeyState.WAITING, KeyState.SPEAKING),
        (KeyState.WAITING, KeyState.OVER),
        (KeyState.WAITING, KeyState.UP),
        (KeyState.SPEAKING, KeyState.WAITING),
        (KeyState.SPEAKING, KeyState.OVER),
        (KeyState.SPEAKING, KeyState.UP),
        (KeyState.OVER, KeyState.UP),
    }
)


class TalkKey:
    """The key and the claims that it makes."""

    def __init__(
        self,
        key: StationKey,
        boot: bytes,
        *,
        random_bytes: Callable[[int], bytes],
        claimed: Callable[[Flooded, float], None],
    ) -> None:
        """`claimed` is told of every claim, and when it was made."""
        self._key, self._boot = key, boot
        self._random_bytes, self._claimed = random_bytes, claimed
        self.state = KeyState.UP
        self.channel: bytes | None = None
        """Where it is pressed."""

        self.precedence = Precedence.ROUTINE
        self.detail = ""
        """Why it does not work."""

        self.claim: Claim | None = None
        """The newest of our spurt."""

        self._order = 0
        self._count = 0
        self._ends_at = 0.0
        """Of the spurt, or of the waiting."""
        self._again_at = 0.0

    def press(self, channel: bytes, precedence: Precedence, order: int, *, now: float) -> None:
        """Press it.  It waits until `start`."""
        self._become(KeyState.WAITING)
        self.channel, self.precedence = channel, precedence
        self._order, self._ends_at = order, now + WAIT_S

    def raise_to(self, precedence: Precedence) -> None:
        """Press a waiting key more urgently."""
        self.precedence = max(self.precedence, precedence)

    def start(self, key_id: bytes, now: Now) -> None:
        """Speak: claim the floor."""
        assert self.channel is not None
        self._become(KeyState.SPEAKING)
        self._count += 1
        self._ends_at = now.monotonic + LIMIT_S
        claim = Claim(
            channel=self.channel,
            speaker=self._key.id,
            nonce=self._random_bytes(NONCE_SIZE),
            held=True,
            number=0,
            precedence=self.precedence,
            order=self._order,
            key_id=key_id,
            boot=self._boot,
            count=self._count,
            wall_ms=min(max(now.moment.wall_ms, 0), (1 << 53) - 1),
            sure=now.moment.sure,
        )
        self._make(claim, now.monotonic)

    def release(self, now: float) -> None:
        """Let go."""
        self._end_spurt(now)
        if self.state is not KeyState.UP:
            self._become(KeyState.UP)
        self.channel = None

    def lost(self, detail: str, now: float) -> None:
        """Another has the floor: wait for our turn."""
        self._end_spurt(now)
        self._become(KeyState.WAITING, detail)
        self._ends_at = now + WAIT_S

    def end(self, detail: str, now: float) -> None:
        """Speak no more until the key is pressed anew."""
        self._end_spurt(now)
        self._become(KeyState.OVER, detail)

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        match self.state:
            case KeyState.SPEAKING:
                return min(self._again_at, self._ends_at)
            case KeyState.WAITING:
                return self._ends_at
            case _:
                return None

    def wakeup(self, now: float) -> bool:
        """Say the claim again; tells whether time has ended the spurt or the waiting."""
        if self.state not in {KeyState.SPEAKING, KeyState.WAITING}:
            return False
        if self._ends_at <= now:
            spoke = self.state is KeyState.SPEAKING
            self.end(
                f"{LIMIT_S:.0f} seconds are over.  Let go and press again."
                if spoke
                else "It was not your turn for a minute.  Let go and press again.",
                now,
            )
            return True
        if self.claim is not None and self._again_at <= now:
            self._make(replace(self.claim, number=self.claim.number + 1), now)
        return False

    def _end_spurt(self, now: float) -> None:
        if self.claim is not None:
            over = replace(self.claim, number=self.claim.number + 1, held=False)
            self.claim = None
            self._claimed(make_claim(over, self._key), now)

    def _make(self, claim: Claim, now: float) -> None:
        self.claim = claim
        self._again_at = now + REFRESH_S
        self._claimed(make_claim(claim, self._key), now)

    def _become(self, state: KeyState, detail: str = "") -> None:
        if (self.state, state) not in _ALLOWED:
            raise RuntimeError(f"a key that is {self.state} can't be {state}")
        self.state, self.detail = state, detail
