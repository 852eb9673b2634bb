"""Two live boards with one key: who notices, how it is proved, and how everybody hears of it.

Each start of a station has a random boot id, which is in the stamp of its card.  A card of our key
that is newer than ours and comes from another boot may be

- of an earlier life that we have forgotten: the state was lost, or is restored from a backup; or
- of a board that runs now, with a copy of our key.

Numbers, times and the order of arrival tell nothing: cards may be late, and what was restored
counts once more.  But nobody can name a boot id before that boot.  So whoever meets such a card
answers with a higher one that says `met:` and the boot id of the other.  A dead life never answers.
A live board finds its own present boot id in a card that it has not written, and that proves it:
another board with its key has run since it was started.  It says `copied` in its own card, and
names the other, which thereby has the same proof.  A card that both says `copied` and names us
needs no answer, so that two boards need three cards or four, and not a race.

`copied` is the word of the key itself, signed, in the newest card, and spreads as any card does.
Everybody can check it, nobody else can say it of a station, and whoever joins later finds it.

What is proof:

- our present boot id in another's card, or on one that we have not written (a machine that was
  saved and woken up twice);
- a session with our own key and another boot id;
- a card of the same boot that goes beyond our answer to it, which was a large step ahead: boards of
  version 0.2 don't know the words, and a thief need not say them (an earlier life of ours that had
  made such a step itself, and whose last card comes late, passes for one until it is over);
- a number so high that none can follow.

What is not: a restart (it knows the last card that it has shown), late and repeated cards, a state
that was lost, a restored backup.  A restored station does not wait for what it may hear, perhaps in
weeks: its first card is a step ahead that no count of cards reaches.  The one on whose board the
backup was made, if it still runs, finds that card and asks, as above.

It is over when nobody answers: who has proof asks again every hour, with a card that says `copied`
and names nobody, and takes the word back when three of these have got no answer.
Others hold the alarm a little longer than the newest card says it, since a thief may write a newer
one; each board answers at least every few minutes, for as long as that goes on.  A copy that runs
version 0.2 answers twice and is then silent, and its own alarm stays.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from appliance.model.card import Card
from appliance.model.record import BOOT_SIZE
from appliance.node.effects import AlarmRaised

COPIED: Final = "copied"
"""Word in a card, among its services: this key is in use on two boards."""

MET: Final = "met:"
"""Begins the word that names a boot of the same key, in hex, whose card has come."""

COPIED_KEY: Final = "copied-key"
"""Code of the alarm about our own key."""

MAX_MET: Final = 4
"""Other boots of our key that are remembered and named; more boards than that take turns."""

MAX_ANSWERS: Final = 4
"""Cards that others of our key can make us write ..."""

ANSWERS_S: Final = 480.0
"""... in this time."""

ASK_EVERY_S: Final = 3600.0
"""How long after the last proof we ask whether the other board still runs ..."""

ASKS: Final = 3
"""How often: two that ask at the same time can take each other's question for an answer ..."""

SILENT_S: Final = 300.0
"""... and how long it has to answer each time.  Then it is stopped, or out of everybody's reach."""


def copied_key(where: str) -> AlarmRaised:
    """Return the alarm of a station that has met another with its own key."""
    return AlarmRaised(
        code=COPIED_KEY,
        text=f"Another board ({where}) runs with this station's key.",
        fix="Stop one of the two and delete its state directory: it then gets its own key. If none "
        "of yours is a copy, somebody has this station's key: do it here, and tell the others.",
    )


def card_says_copied(card: Card) -> bool:
    """Tell whether a card says that its key is in use on two boards."""
    return COPIED in card.services


def boots_met(card: Card) -> frozenset[bytes]:
    """Return which other boots of its own key a card names."""
    found: set[bytes] = set()
    for word in card.services:
        try:
            boot = bytes.fromhex(word.removeprefix(MET)) if word.startswith(MET) else b""
        except ValueError:
            continue
        if len(boot) == BOOT_SIZE:
            found.add(boot)
    return frozenset(found)


class Twins:
    """Other boards with our key.  Times are seconds since this start."""

    def __init__(self) -> None:
        self.proved = False
        """There is one that runs."""

        self._met: dict[bytes, int | None] = {}
        """Boots that are to be named, with the number of our answer to each; None: not yet."""
        self._named: set[bytes] = set()
        """Those of them that the next card names."""
        self._answers: deque[float] = deque(maxlen=MAX_ANSWERS)
        self._owed = False
        self._ask_s = math.inf
        """When to ask next, or to see that it is over."""
        self._asked = 0

    def words(self) -> tuple[str, ...]:
        """Return what our card says of it."""
        copied = (COPIED,) if self.proved else ()
        return (*copied, *(f"{MET}{boot.hex()}" for boot in self._met if boot in self._named))

    def heard(self, card: Card, boot: bytes, *, own: bytes, now_s: float) -> None:
        """Take a card of our key that is not ours and newer; `own` is our present boot id."""
        answered = self._met.get(boot)
        named = own in boots_met(card)
        surpassed = answered is not None and card.sequence > answered
        if named or surpassed or boot == own:
            self._prove(now_s)
        self._meet(boot)
        self._owed = not (named and card_says_copied(card))

    def met(self, boot: bytes, now_s: float) -> None:
        """A session with our own key and another boot id was proved."""
        self._owed = not self.proved or boot not in self._named
        self._prove(now_s)
        self._meet(boot)

    def beyond(self) -> None:
        """A card of our key has a number that none can follow, so no question reaches anybody."""
        self.proved, self._ask_s = True, math.inf

    def _prove(self, now_s: float) -> None:
        self.proved, self._ask_s, self._asked = True, now_s + ASK_EVERY_S, 0

    def _meet(self, boot: bytes) -> None:
        self._met[boot] = self._met.pop(boot, None)
        self._named.add(boot)
        while len(self._met) > MAX_MET:
            oldest = next(iter(self._met))
            del self._met[oldest]
            self._named.discard(oldest)

    # -- Answers

    def may_answer(self, now_s: float) -> bool:
        """Tell whether a card is to be written now."""
        return self._owed and self._free_at() <= now_s

    def answered(self, sequence: int, now_s: float) -> None:
        """A card with our present words is being written."""
        self._owed = False
        self._answers.append(now_s)
        self._met = dict.fromkeys(self._met, sequence)

    def not_answered(self) -> None:
        """The disk did not take that card."""
        self._owed = True

    def _free_at(self) -> float:
        full = len(self._answers) == MAX_ANSWERS
        return self._answers[0] + ANSWERS_S if full else -math.inf

    # -- Time

    def next_wakeup(self) -> float:
        """Say when to call `ask` and `is_over`, and to answer."""
        return min(self._free_at() if self._owed else math.inf, self._ask_s)

    def asks(self, now_s: float) -> bool:
        """Tell whether to write a card now that whoever runs with our key has to answer."""
        if now_s < self._ask_s or self._asked == ASKS:
            return False
        self._ask_s, self._asked = now_s + SILENT_S, self._asked + 1
        self._named.clear()
        return True

    def is_over(self, now_s: float) -> bool:
        """Tell whether nobody has answered."""
        if now_s < self._ask_s or self._asked < ASKS:
            return False
        self.proved, self._owed, self._ask_s, self._asked = False, False, math.inf, 0
        self._met.clear()
        self._named.clear()
        return True
