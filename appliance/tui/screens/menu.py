"""The Esc menu: every action has a number here, for keyboards and lines without function keys."""

from __future__ import annotations

from appliance.tui import views
from appliance.tui.dialogs import Area, Item, ListDialog, PageDialog, PromptDialog, paragraphs
from appliance.tui.editor import filled
from appliance.tui.keybar import Hint
from appliance.tui.look import BAD, BOLD, PLAIN
from appliance.tui.pane import Row
from appliance.tui.screens.group import GroupsDialog
from appliance.tui.screens.leave import LeaveDialog
from appliance.tui.text import one_line, plain_name
from appliance.tui.wording import name, number


class MenuDialog(ListDialog):
    """What can be done now."""

    def opened(self) -> None:
        """Begin at hanging up, also where an alarm waits above it: Esc and Enter end a call."""
        state = self.station_app.state
        if views.running(state) is not None and views.open_alarms(state):
            self.chosen = 1

    def wanted_width(self, area: Area) -> int:
        return min(area.width - 4, 60)

    def heading(self) -> str:
        call = views.running(self.station_app.state)
        if call is None:
            return "What do you want to do?"
        return "Hang up?" if call.state == "talking" else "Stop calling?"

    def items(self) -> list[Item]:
        app = self.station_app
        items: list[Item] = []
        call = views.running(app.state)
        if views.open_alarms(app.state):
            items.append(Item("I read the alarm", app.acknowledge, "F10"))
        elif app.state.emergency is not None:
            items.append(Item("Show the emergency", app.acknowledge, "F10"))
        if call is not None:
            items += [
                Item("Hang up", lambda: app.operator.hang_up(call)),
                Item("Microphone on" if call.muted else "Microphone off", app.calling.mute, "F6"),
                Item(
                    "Open microphone" if call.push_to_talk else "Push to talk", app.talk_key.switch
                ),
                Item("Volume", app.calling.open_volume, "F7"),
                Item("Compare digits, to be sure who it is", app.open_verify, "F9"),
                Item("Have whoever is chosen join the call", app.calling.add_chosen, "F5"),
                Item("How it sounds: figures", app.calling.call_chosen, "F2"),
                Item("Messages: older ones, who has them", app.open_reading),
                Item("Find a name, or words in messages", app.open_find),
            ]
        else:
            station = views.chosen(app.state)
            items += self._with_station(name(station) if station else "")
        return [*items, Item("More: settings, problems, leave", self._more)]

    def _with_station(self, who: str) -> list[Item]:
        app = self.station_app
        group = views.chosen_group(app.state)
        call = Item(
            f"Call {who}" if who else "Call (choose a station first)", app.calling.call_chosen, "F2"
        )
        verify = Item(
            f"Verify {who}" if who else "Verify (choose a station first)", app.open_verify, "F9"
        )
        if group is not None:
            title = views.title_of(app.state, group.id)
            call = Item(f"{title}: who is in it", app.calling.call_chosen, "F2")
        return [
            call,
            verify,
            Item("Messages: older ones, who has them", app.open_reading),
            Item("Find a name, or words in messages", app.open_find, "F6"),
            Item("Network: who is there, and how", app.open_network, "F4"),
            Item("Add a file or your voice; urgency, expiry", app.writer.open, "F7"),
            Item("On the air: talk, hear it again", app.radio.open),
            Item("Groups: make one, join, leave", lambda: app.main.open_dialog(GroupsDialog())),
        ]

    def _more(self) -> None:
        self.station_app.main.open_dialog(MoreDialog())


class MoreDialog(ListDialog):
    """What is wanted less often."""

    title = "More"

    def wanted_width(self, area: Area) -> int:
        return min(area.width - 4, 60)

    def items(self) -> list[Item]:
        app = self.station_app
        status = app.state.status
        count = len(status.problems) if status else 0
        in_call = views.running(app.state) is not None
        on_air = [Item("On the air: talk, hear it again", app.radio.open)] if in_call else []
        return [
            Item(f"Problems now: {count or 'none'}", lambda: app.main.open_dialog(ProblemsPage())),
            Item("Sound devices and test", app.open_sound, "F8"),
            Item("My name", lambda: app.main.open_dialog(NamePrompt())),
            Item("My id, number and address", lambda: app.main.open_dialog(WhoAmIPage())),
            Item("Add a station by network address", lambda: app.main.open_dialog(PeerPrompt())),
            Item("Help", app.open_help, "F1"),
            Item("Calls: missed ones, with whom, how long", app.calling.open_record, "F12"),
            Item("Leave the screen", lambda: app.main.open_dialog(LeaveDialog())),
            *on_air,
        ]


class NamePrompt(PromptDialog):
    """The name that others see."""

    title = "My name"
    question = "What should others see as the name of this station? Up to 40 characters."
    enter_label = "take this name"

    def opened(self) -> None:
        """Begin with the name as it is, unless it was only a default."""
        status = self.station_app.state.status
        if status is not None and not status.name_is_default:
            self.editor = filled(status.name)

    def accept(self, text: str) -> None:
        self.station_app.operator.rename(text)


class PeerPrompt(PromptDialog):
    """A station that is not found by itself."""

    title = "Add a station by network address"
    question = (
        "Stations on the same cable or radio appear by themselves. For one on a network that does "
        "not let them: its address, such as 192.168.1.20 or 192.168.1.20:7311"
    )
    enter_label = "look there"

    def accept(self, text: str) -> None:
        self.station_app.operator.add_peer(text)


class ProblemsPage(PageDialog):
    """What is wrong now and what to do about each."""

    title = "Problems now"

    def body(self, width: int) -> list[Row]:
        status = self.station_app.state.status
        if status is None or not status.problems:
            return paragraphs("Nothing is wrong.", width)
        rows: list[Row] = []
        for problem in status.problems:
            rows += [[("! ", BAD), *row] for row in paragraphs(problem.text, width - 2)]
            rows += [[("  ", PLAIN), *row] for row in paragraphs(problem.fix, width - 2)]
            rows.append([])
        return rows


class WhoAmIPage(PageDialog):
    """What somebody else may need to know of this station."""

    title = "This station"

    def hints(self) -> list[Hint]:
        return [Hint("Esc", "back")]

    def body(self, width: int) -> list[Row]:
        status = self.station_app.state.status
        if status is None:
            return paragraphs("Your station has not answered yet.", width)
        return [
            [("Name     ", BOLD), (plain_name(status.name), PLAIN)],
            [("Number   ", BOLD), (number(status.number), PLAIN)],
            [("Address  ", BOLD), (status.address, PLAIN)],
            [("Port     ", BOLD), (str(status.port), PLAIN)],
            [("Version  ", BOLD), (status.version, PLAIN)],
            [("Voice    ", BOLD), (one_line(status.media.detail), PLAIN)],
            [],
            [("Id, to read aloud:", BOLD)],
            *paragraphs(status.spoken_id, width),
        ]
