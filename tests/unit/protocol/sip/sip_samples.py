"""Messages as they come over the wire, and two user agents on a link that loses some."""

from __future__ import annotations

import heapq
import itertools
import random

from sipmessage import URI

from appliance.protocol.sip import events as ev
from appliance.protocol.sip.message import Origin
from appliance.protocol.sip.transaction_layer import Hop
from appliance.protocol.sip.user_agent import UserAgent

INVITE = (
    b"INVITE sip:bob@b.invalid SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP a.invalid;branch=z9hG4bKabc\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice" <sip:alice@a.invalid>;tag=a1\r\n'
    b"To: <sip:bob@b.invalid>\r\n"
    b"Call-ID: one@a.invalid\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:alice@a.invalid>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"offer"
)

RINGING = (
    b"SIP/2.0 180 Ringing\r\n"
    b"Via: SIP/2.0/UDP a.invalid;branch=z9hG4bKabc;received=2001:db8::1\r\n"
    b'From: "Alice" <sip:alice@a.invalid>;tag=a1\r\n'
    b"To: <sip:bob@b.invalid>;tag=b1\r\n"
    b"Call-ID: one@a.invalid\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Content-Length: 0\r\n\r\n"
)

KEY_GCM = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw=="
KEY_CM = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"

OFFER = (
    "v=0\r\n"
    "o=- 7 1 IN IP6 fe80::1\r\n"
    "s=-\r\n"
    "c=IN IP6 fe80::1\r\n"
    "t=0 0\r\n"
    "m=audio 20000 RTP/SAVP 0 96\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:96 opus/48000/2\r\n"
    "a=fmtp:96 useinbandfec=1\r\n"
    f"a=crypto:1 AEAD_AES_128_GCM inline:{KEY_GCM}\r\n"
    f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY_CM}|2^31\r\n"
    "a=rtcp-mux\r\n"
    "a=sendrecv\r\n"
).encode()


class Pair:
    """Two user agents, a link between them, and the clock."""

    def __init__(
        self, *, reliable: bool = True, loss: float = 0.0, jitter_s: float = 0.0, seed: int = 1
    ) -> None:
        self.random = random.Random(seed)
        self.loss, self.jitter_s = loss, jitter_s
        self.now = 0.0
        self.agents = [
            UserAgent(origin=Origin("UDP", host), random_bytes=self.random.randbytes)
            for host in ("a.invalid", "b.invalid")
        ]
        self.hops = [Hop("b", reliable), Hop("a", reliable)]
        self.events: list[list[ev.Event]] = [[], []]
        self.sent: list[list[bytes]] = [[], []]
        self.up = True
        self._queue: list[tuple[float, int, int, bytes]] = []
        self._order = itertools.count()

    def call(self) -> str:
        """Let the first call the second."""
        leg = self.agents[0].invite(
            self.hops[0],
            target=URI.parse("sip:bob@b.invalid"),
            caller=URI.parse("sip:alice@a.invalid"),
            contact=URI.parse("sip:alice@a.invalid"),
            body=b"offer",
            now=self.now,
        )
        self.pump()
        return leg

    def pump(self) -> None:
        for side, agent in enumerate(self.agents):
            self.events[side] += agent.take_events()
            for outgoing in agent.take_outgoing():
                self.sent[side].append(outgoing.data)
                if self.up and self.random.random() >= self.loss:
                    at = self.now + 0.01 + self.random.random() * self.jitter_s
                    item = (at, next(self._order), 1 - side, outgoing.data)
                    heapq.heappush(self._queue, item)

    def give(self, side: int, data: bytes) -> list[bytes]:
        """Give a message to one side as from the other; return what it sends."""
        before = len(self.sent[side])
        self.agents[side].receive(self.hops[side], data, self.now)
        self.pump()
        return self.sent[side][before:]

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            wake = min(agent.next_wakeup() for agent in self.agents)
            arrival = self._queue[0][0] if self._queue else float("inf")
            if min(wake, arrival) > end:
                break
            self.now = max(self.now, min(wake, arrival))
            if arrival <= wake:
                _, _, side, data = heapq.heappop(self._queue)
                self.agents[side].receive(self.hops[side], data, self.now)
            else:
                for agent in self.agents:
                    agent.handle_timers(self.now)
            self.pump()
        self.now = end

    def break_link(self) -> None:
        self.up = False
        self._queue.clear()
        for agent, hop in zip(self.agents, self.hops, strict=True):
            agent.link_down(hop)

    def mend_link(self) -> None:
        self.up = True
        for agent, hop in zip(self.agents, self.hops, strict=True):
            agent.link_back(hop, self.now)
        self.pump()

    def leg_of_callee(self) -> str:
        """Return the leg of the second side's last call."""
        return [e for e in self.events[1] if isinstance(e, ev.Invited)][-1].leg

    def kinds(self, side: int) -> list[str]:
        return [type(event).__name__ for event in self.events[side]]

    def talk(self) -> tuple[str, str]:
        """Bring both into a call."""
        ours = self.call()
        self.run(1)
        theirs = self.leg_of_callee()
        self.agents[1].accept(theirs, b"answer", self.now)
        self.pump()
        self.run(1)
        return ours, theirs
