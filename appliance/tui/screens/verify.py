"""Making sure that a station is who it says: six digits, or whole ids, compared aloud."""

from __future__ import annotations

from appliance.api.schema import Verification
from appliance.tui import views
from appliance.tui.bigtext import big, big_width, can_be_big
from appliance.tui.dialogs import Item, ListDialog, PromptDialog, paragraphs
from appliance.tui.look import BOLD, LOUD, PLAIN
from appliance.tui.pane import Row
from appliance.tui.wording import IN_REACH, digits, verification_state

_EARLIER = 4


def _big_digits(six: str, width: int) -> list[Row]:
    wide = f"{six[:3]} {six[3:]}"
    if not can_be_big(wide) or big_width(wide) + 4 > width:
        return [[("      ", PLAIN), (f"  {digits(six)}  ", LOUD)]]
    return [[("    ", PLAIN), (line, BOLD)] for line in big(wide)]


class VerifyDialog(ListDialog):
    """The comparison with one station."""

    def __init__(self, station: str) -> None:
        super().__init__()
        self._station = station
        self._started = False
        self._chosen_by_hand = False
        self.title = "Verify"

    def opened(self) -> None:
        """Begin a comparison where there is a session and none runs."""
        state = self.station_app.state
        station = state.stations.get(self._station)
        self.title = f"Verify {views.station_name(state, self._station)}"
        if (
            station is not None
            and station.trust != "verified"
            and station.reach in IN_REACH
            and self._digits() is None
            and views.comparing(state, self._station) is None
        ):
            self._start()

    def _start(self) -> None:
        station = self.station_app.state.stations.get(self._station)
        if station is not None:
            self._started = True
            self.station_app.operator.verify(station)

    def _digits(self) -> tuple[str, str] | None:
        """Return the digits to compare and the comparison that they belong to."""
        state = self.station_app.state
        call = views.running(state)
        if call and call.station == self._station and call.digits and call.verification:
            return call.digits, call.verification
        found = views.comparing(state, self._station)
        if found is not None and found.state == "compare" and found.digits:
            return found.digits, found.id
        return None

    def _verified(self) -> bool:
        station = self.station_app.state.stations.get(self._station)
        return station is not None and station.trust == "verified"

    def intro(self, width: int) -> list[Row]:
        compared = self._digits()
        if self._verified():
            text = "You compared with this station: it is who it says."
            rows: list[Row] = paragraphs(text, width)
        elif compared is not None:
            text = "Call them, or speak face to face. Both screens must show the same six digits:"
            rows = [
                *paragraphs(text, width),
                [],
                *_big_digits(compared[0], width),
                [],
                *paragraphs("Read them to each other. Do not send them as a message.", width),
            ]
        else:
            rows = self._without_digits(width)
        return [*rows, *self._earlier(width), []]

    def _without_digits(self, width: int) -> list[Row]:
        state = self.station_app.state
        station = state.stations.get(self._station)
        running = views.comparing(state, self._station)
        if running is not None or (self._started and station and station.reach in IN_REACH):
            text = running.text if running and running.text else "Asking their station..."
            return paragraphs(text, width)
        spoken = state.status.spoken_id if state.status else ""
        text = (
            "There is no connection to this station now, so whole ids are compared, by any voice "
            "that you know. Read yours to them:"
        )
        return [
            *paragraphs(text, width),
            *[[(row[0][0], BOLD)] for row in paragraphs(spoken, width)],
        ]

    def _earlier(self, width: int) -> list[Row]:
        current = views.comparing(self.station_app.state, self._station)
        over = [
            one
            for one in self.station_app.state.verifications
            if one.station == self._station and one is not current and one.state != "compare"
        ]
        if not over:
            return []
        rows: list[Row] = [[], [("Earlier attempts, latest first:", PLAIN)]]
        return [*rows, *(self._attempt(one, width) for one in over[:_EARLIER])]

    def _attempt(self, one: Verification, width: int) -> Row:
        who = "you began" if one.ours else "they began"
        return [(f"  {who}: {verification_state(one)}", PLAIN)]

    def items(self) -> list[Item]:
        compared = self._digits()
        operator = self.station_app.operator
        if compared is not None and not self._verified():
            number = compared[1]
            return [
                Item("The same", lambda: operator.finish_verification(number, match=True)),
                Item("Different", lambda: operator.finish_verification(number, match=False)),
                Item("Not now", lambda: None),
            ]
        items: list[Item] = []
        if not self._verified():
            items.append(Item("Compare the id that they read out", self._by_id))
            station = self.station_app.state.stations.get(self._station)
            waiting = views.comparing(self.station_app.state, self._station) is not None
            if station is not None and station.reach in IN_REACH and not waiting:
                items.append(Item("Begin again with new digits", self._again))
        return [*items, Item("Back", lambda: None)]

    def body(self, width: int) -> list[Row]:
        if self._digits() is None or self._verified():
            return super().body(width)
        if not self._chosen_by_hand:
            # Enter pressed without reading must not mean "the same".
            self.chosen = len(self.items()) - 1
        return super().body(width)

    def on_key_pressed(self, key: str, character: str | None) -> None:
        if key in {"up", "down"}:
            self._chosen_by_hand = True
        super().on_key_pressed(key, character)

    def _again(self) -> None:
        self.station_app.main.open_dialog(VerifyDialog(self._station))

    def _by_id(self) -> None:
        self.station_app.main.open_dialog(SpokenIdPrompt(self._station))


class SpokenIdPrompt(PromptDialog):
    """The id that the other operator reads out."""

    title = "The id that they read out"
    question = "Type it as you hear it, with or without spaces. Mistakes are noticed."
    enter_label = "compare"

    def __init__(self, station: str) -> None:
        super().__init__()
        self._station = station

    def accept(self, text: str) -> None:
        station = self.station_app.state.stations.get(self._station)
        if station is not None:
            self.station_app.operator.verify_by_id(station, text)
