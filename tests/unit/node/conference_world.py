"""Conferences among the stations of `call_world`: who hears whom, through whoever mixes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from call_world import Node, World
from fake_streams import FakeStream

from appliance.model.call import CallState
from appliance.model.conference import Conference, MemberState


class Village(World):
    """Stations that all have sessions with each other."""

    def __init__(self, names: str, seed: int = 1) -> None:
        super().__init__(names, seed)
        for a, b in combinations(self.nodes, 2):
            self.connect(a, b)

    def add(self, focus: Node, other: Node, *, answers: bool = True) -> None:
        """Have another one join the call of `focus`."""
        focus.calls.add(self.any_call(focus), other.id, now=self.now)
        focus.pump()
        self.run(0.5)
        if answers:
            other.answer()
            self.run(1.5)

    def any_call(self, node: Node) -> str:
        """An answered call of a station."""
        answered = (CallState.TALKING, CallState.CONNECTING)
        return next(call.id for call in node.calls.active if call.state in answered)

    def gather(self) -> list[Node]:
        """Bring everybody into a conference that the first one mixes."""
        first, second, *others = self.nodes
        first.place(second)
        self.run(0.5)
        second.answer()
        self.run(1.5)
        for other in others:
            self.add(first, other)
        self.check_all(self.nodes, focus=first)
        return self.nodes

    def leave(self, node: Node) -> None:
        """Have the operator hang up."""
        node.calls.hangup(self.any_call(node), now=self.now)
        node.pump()

    def isolate(self, node: Node, *others: Node) -> None:
        """Cut a station off from others, all of them by default, sound and all."""
        for other in others or self.nodes:
            if other is not node:
                self.cut(node, other, sound_too=True)

    def rejoin(self, node: Node, *others: Node) -> None:
        """Give it its sessions back."""
        for other in others or self.nodes:
            if other is not node:
                self.sound_cut.discard(frozenset({node.id, other.id}))
                self.connect(node, other)

    def crash(self, node: Node) -> None:
        """Kill its daemon and its voice process for good."""
        self.isolate(node)
        for call in node.calls.active:
            node.streams.pop(call.id, None)

    # Who hears whom

    def _speaker(self, node: Node, stream: FakeStream) -> tuple[Node, str] | None:
        """Whoever sends what this stream can hear."""
        start = stream.start
        for peer in self.nodes:
            for name, other in peer.streams.items():
                theirs = other.start
                if peer is node or theirs is None or start is None:
                    continue
                if frozenset({peer.id, node.id}) in self.sound_cut:
                    continue
                to = (theirs.remote_host.partition("%")[0], theirs.remote_port)
                here = (stream.host.partition("%")[0], stream.port)
                if theirs.send_key == start.receive_key and to == here:
                    return peer, name
        return None

    def _arriving(self, node: Node, name: str, seen: tuple[str, ...]) -> Counter[str]:
        """Whose voices come in by a stream."""
        found = self._speaker(node, node.streams[name])
        if found is None:
            return Counter()
        peer, theirs = found
        assert theirs not in seen, "sound goes round in a circle"
        mix = next((mix for mix in peer.mixes.values() if theirs in mix.streams), None)
        if mix is None:
            return Counter([peer.name])
        voices = Counter([peer.name] if mix.ours else [])
        for other in mix.streams:
            if other != theirs and other in peer.streams:
                voices += self._arriving(peer, other, (*seen, theirs))
        return voices

    def heard_by(self, node: Node) -> str:
        """Whose voices a station's speaker has, each as often as it has it."""
        voices: Counter[str] = Counter()
        for name in node.streams:
            voices += self._arriving(node, name, ())
        return "".join(sorted(voices.elements()))

    def check_hearing(self, nodes: list[Node]) -> None:
        """Check that they all hear each other, once, and nobody himself."""
        for node in nodes:
            others = "".join(sorted(one.name for one in nodes if one is not node))
            assert self.heard_by(node) == others, f"{node.name} hears {self.heard_by(node)!r}"

    def check_all(self, nodes: list[Node], *, focus: Node) -> None:
        """Check that just these are in one conference, and that each of them knows it."""
        self.check_hearing(nodes)
        for node in nodes:
            view = self.view(node)
            assert view.focus == focus.id, f"{node.name} thinks that another one mixes"
            present = {one.station for one in view.members if one.state is MemberState.IN}
            assert present == {one.id for one in nodes}, f"{node.name} has another roster"
            assert not view.searching
        assert len({self.view(node).id for node in nodes}) == 1
        for node in nodes:
            if node is not focus:
                assert len(node.calls.active) == 1

    def view(self, node: Node) -> Conference:
        """The conference as a station sees it; the same in all of its calls."""
        views = {call.conference for call in node.calls.active}
        (view,) = views
        assert view is not None
        return view
