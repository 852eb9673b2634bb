"""Voice messages: recording one, and playing one."""

from __future__ import annotations

from appliance.api.errors import ClientError
from appliance.api.recordings import MAX_RECORDING_S, Playback, Recording, StartPlayback
from appliance.tui.dialogs import Dialog, Item, ListDialog, paragraphs
from appliance.tui.keybar import Hint
from appliance.tui.letters import Enclosure
from appliance.tui.look import BOLD, CARE, GOOD, PLAIN
from appliance.tui.pane import Row
from appliance.tui.text import one_line
from appliance.tui.wording import meter, timer

_BAR = 40


def bar(done_ms: int, whole_ms: int) -> str:
    """Return how far something is, as a line of marks."""
    full = min(done_ms * _BAR // whole_ms, _BAR) if whole_ms > 0 else 0
    return "#" * full + "." * (_BAR - full)


class RecordDialog(ListDialog):
    """Records, then asks what becomes of it."""

    title = "Voice message"

    def __init__(self) -> None:
        super().__init__()
        self._id = ""
        self._trouble = ""
        self._done = False

    def opened(self) -> None:
        """Begin to record."""
        self._begin()

    def _begin(self) -> None:
        self._id, self._trouble = "", ""
        self.station_app.start(self._record())

    async def _record(self) -> None:
        app = self.station_app
        try:
            begun = await app.client.start_recording()
        except ClientError as error:
            self._trouble = str(error)
        else:
            self._id = begun.id
            app.operator.voice.took(begun)
            if self._done:  # left before it began
                app.operator.voice.throw_away(begun.id)
        app.redraw()

    def recording(self) -> Recording | None:
        """Return what is recorded, or was."""
        return self.station_app.state.recordings.get(self._id)

    def _ready(self) -> bool:
        found = self.recording()
        return found is not None and found.state == "ready"

    def intro(self, width: int) -> list[Row]:
        if self._trouble:
            return [*([(row[0][0], CARE)] for row in paragraphs(self._trouble, width)), []]
        found = self.recording()
        if found is None:
            return [*paragraphs("Opening the microphone...", width), []]
        long = timer(found.duration_ms / 1000)
        said = paragraphs(one_line(found.text), width) if found.text else []
        if found.state == "recording":
            most = timer(MAX_RECORDING_S)
            level = f"  {long} of {most}   microphone {meter(found.level_db)}"
            return [[("Recording: speak now.", BOLD)], [], [(level, GOOD)], *said, []]
        if found.state == "gone":
            return [*(said or paragraphs("Nothing was recorded.", width)), []]
        return [[(f"{long} are recorded.", BOLD)], *said, []]

    def items(self) -> list[Item]:
        found = self.recording()
        if found is None and not self._trouble:
            return [Item("Back", self._throw_away)]
        if found is not None and found.state == "recording":
            return [Item("Stop", self._stop), Item("Throw it away", self._throw_away)]
        if self._ready():
            return [
                Item("Send it", self._send),
                Item("Listen to it", self._listen),
                Item("Record again", self._again),
                Item("Add it to the message, send later", self._add),
                Item("Throw it away", self._throw_away),
            ]
        return [Item("Record again", self._begin), Item("Back", lambda: None)]

    def hints(self) -> list[Hint]:
        found = self.recording()
        running = found is not None and found.state == "recording"
        return [Hint("Enter", "stop" if running else "choose"), Hint("Esc", "throw away")]

    def choose(self, item: Item) -> None:
        """Stay open for what goes on here."""
        if item.act not in (self._stop, self._listen, self._again, self._begin):
            self._done = True
            self.station_app.main.close_dialog(self)
        self.chosen = 0
        item.act()

    def close(self) -> None:
        """Esc: what is recorded is thrown away."""
        self._done = True
        if self._id:
            self._throw_away()
        super().close()

    def _stop(self) -> None:
        self.station_app.operator.voice.stop(self._id)

    def _listen(self) -> None:
        self.station_app.main.open_dialog(PlayDialog(StartPlayback(recording=self._id)))

    def _again(self) -> None:
        self._throw_away()
        self._begin()

    def put_aside(self) -> None:
        self._done = True
        self._add()
        found = self.recording()
        if found is not None and found.state == "recording":
            self._stop()  # nothing says any more that the microphone is open

    def _throw_away(self) -> None:
        found = self.recording()
        if found is not None and found.state != "gone":
            self.station_app.operator.voice.throw_away(self._id)

    def _enclosure(self) -> Enclosure | None:
        found = self.recording()
        if found is None or found.state == "gone":
            return None
        return Enclosure(found.id, "voice message", found.bytes, voice_ms=max(found.duration_ms, 1))

    def _add(self) -> None:
        enclosed = self._enclosure()
        if enclosed is not None:
            self.station_app.writer.enclose(enclosed)

    def _send(self) -> None:
        self._add()
        self.station_app.writer.enter()


class PlayDialog(Dialog):
    """Plays a recording or an attachment."""

    title = "Voice message"

    def __init__(self, what: StartPlayback) -> None:
        super().__init__()
        self._what = what
        self._id = ""
        self._trouble = ""
        self._done = False

    def opened(self) -> None:
        """Begin to play."""
        self.station_app.start(self._play())

    async def _play(self) -> None:
        app = self.station_app
        try:
            begun = await app.client.play(self._what)
        except ClientError as error:
            self._trouble = str(error)
        else:
            self._id = begun.id
            app.operator.voice.plays(begun)
            if self._done:  # left before it began
                app.operator.voice.stop_playing()
        app.redraw()

    def playback(self) -> Playback | None:
        """Return how far it is."""
        return self.station_app.state.playbacks.get(self._id)

    def body(self, width: int) -> list[Row]:
        if self._trouble:
            return [[(row[0][0], CARE)] for row in paragraphs(self._trouble, width)]
        found = self.playback()
        if found is None:
            return paragraphs("Opening the speaker...", width)
        words = {"playing": "Playing", "paused": "Paused", "over": "Over"}[found.state]
        at, whole = timer(found.position_ms / 1000), timer(found.duration_ms / 1000)
        rows: list[Row] = [
            [(f"{words}  {at} of {whole}", BOLD)],
            [(bar(found.position_ms, found.duration_ms), PLAIN)],
        ]
        return [*rows, *(paragraphs(one_line(found.text), width) if found.text else [])]

    def hints(self) -> list[Hint]:
        found = self.playback()
        state = found.state if found else "over"
        enter = {"playing": "pause", "paused": "go on", "over": "again"}[state]
        return [Hint("Enter", enter), Hint("Esc", "stop")]

    def on_key_pressed(self, key: str, character: str | None) -> None:
        found = self.playback()
        if key == "enter" or character == " ":
            if found is None or found.state == "over":
                self.opened()
            else:
                self.station_app.operator.voice.pause(paused=found.state == "playing")
        else:
            super().on_key_pressed(key, character)

    def close(self) -> None:
        self._done = True
        found = self.playback()
        if found is not None and found.state != "over":
            self.station_app.operator.voice.stop_playing()
        super().close()
