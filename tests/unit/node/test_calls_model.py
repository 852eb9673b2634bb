"""Random commands, broken sessions and dying processes: in the end both sides agree."""

from __future__ import annotations

from call_world import Node, World
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.model.call import CallState
from appliance.node.calls import CallError

WHO = st.sampled_from([0, 1])
PAUSES = st.sampled_from([0.0, 0.003, 0.012, 0.025, 0.4, 3.0, 11.0, 33.0])


class CallsModel(RuleBasedStateMachine):
    """Two stations, whatever happens to them."""

    world: World

    @initialize(seed=st.integers(0, 2**16), apart=st.booleans())
    def begin(self, seed: int, apart: bool) -> None:
        self.world = World(seed=seed)
        if not apart:
            self.world.connect(*self.world.nodes)

    def _two(self, who: int) -> tuple[Node, Node]:
        nodes = self.world.nodes
        return nodes[who], nodes[1 - who]

    @property
    def connected(self) -> bool:
        return bool(self.world.nodes[0].sessions)

    @rule(who=WHO)
    def place(self, who: int) -> None:
        caller, callee = self._two(who)
        try:
            caller.place(callee)
        except CallError:
            assert caller.calls.active

    @rule(who=WHO, pause_s=PAUSES)
    def talk(self, who: int, pause_s: float) -> None:
        """Bring about a call, so that much of what follows happens to one."""
        self.place(who)
        self.world.run(0.4)
        self.answer(1 - who)
        self.world.run(pause_s)

    @rule(who=WHO)
    def answer(self, who: int) -> None:
        node, _ = self._two(who)
        if any(c.state is CallState.RINGING_HERE for c in node.calls.active):
            node.answer()

    @rule(who=WHO)
    def decline(self, who: int) -> None:
        node, _ = self._two(who)
        if any(c.state is CallState.RINGING_HERE for c in node.calls.active):
            node.decline()

    @rule(who=WHO)
    def hang_up(self, who: int) -> None:
        node, _ = self._two(who)
        if node.calls.active:
            node.hangup()

    @rule(sound_too=st.booleans())
    @precondition(lambda self: self.connected)
    def cut(self, sound_too: bool) -> None:
        self.world.cut(*self.world.nodes, sound_too=sound_too)

    @rule(who=WHO, path=st.sampled_from([1, 1, 2]), lag_s=st.sampled_from([0.0, 0.015, 0.2]))
    def connect(self, who: int, path: int, lag_s: float) -> None:
        self.world.cut(*self.world.nodes)
        self.world.mend_sound()
        self.world.connect(*self._two(who), path=path, lag_s=lag_s)

    @rule(who=WHO)
    def kill_media(self, who: int) -> None:
        node, _ = self._two(who)
        if node.media_alive:
            node.kill_media()

    @rule(who=WHO)
    def restart_media(self, who: int) -> None:
        node, _ = self._two(who)
        if not node.media_alive:
            node.restart_media()

    @rule(who=WHO, remembers=st.booleans(), down_s=st.sampled_from([0.0, 4.0, 16.0]))
    def restart(self, who: int, remembers: bool, down_s: float) -> None:
        self.world.restart(self._two(who)[0], remembers=remembers, down_s=down_s)

    @rule(seconds=PAUSES)
    def wait(self, seconds: float) -> None:
        self.world.run(seconds)

    @invariant()
    def bounded(self) -> None:
        for node in self.world.nodes:
            assert len(node.calls.active) <= 1
            assert node.calls._book.agent.leg_count <= 16

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._settle_and_agree()
            self._end()

    def _settle_and_agree(self) -> None:
        """With everything mended, either both talk and hear each other, or neither has a call."""
        a, b = self.world.nodes
        for node in (a, b):
            if not node.media_alive:
                node.restart_media()
        self.world.cut(a, b)
        self.world.mend_sound()
        self.world.connect(a, b)
        self.world.run(90)
        states = {c.state for n in (a, b) for c in n.calls.active}
        assert states <= {CallState.TALKING}, states
        assert len(a.calls.active) == len(b.calls.active)
        if a.calls.active:
            for node in (a, b):
                (stream,) = node.streams.values()
                assert stream.start is not None
                assert self.world.hears(node, stream.start)

    def _end(self) -> None:
        for node in self.world.nodes:
            if node.calls.active:
                node.hangup()
        self.world.run(80)
        self.world.check_quiet()
        for node in self.world.nodes:
            assert node.calls._book.agent.leg_count == 0
            assert len(node.calls._book.agent._book.layer) == 0
            assert node.calls.next_wakeup() == float("inf")


CallsModel.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCallsModel = CallsModel.TestCase
