"""The page behind F1."""

from __future__ import annotations

from appliance.tui.dialogs import PageDialog
from appliance.tui.look import BOLD, KEY, PLAIN
from appliance.tui.pane import Row
from appliance.tui.text import wrap

_PARTS: list[tuple[str, list[tuple[str, str]]]] = [
    (
        "To write",
        [
            ("Up Down", "choose who, in the list on the left: all, a group, a station"),
            ("type", "whatever you type goes into the line at the bottom"),
            ("Enter", "sends it. Everyone is all who can be reached"),
            ("Tab", "how urgent: routine, welfare, priority, emergency"),
            ("F7", "adds a file or your voice, and says how long it may take"),
        ],
    ),
    (
        "To read",
        [
            ("PgUp PgDn", "older messages and back; Home, End: the first, the last"),
            ("Enter", "with nothing written: goes to the messages. Up and Down choose one"),
            ("Enter", "on a message: who has it, who read it; its files and voice"),
            ("F6", "finds a name, or words in messages"),
            ("*2 +1", "in the list: 2 unread, 1 of yours not delivered yet"),
        ],
    ),
    (
        "Did it arrive?",
        [
            ("waiting", "it is kept here until they can be reached"),
            ("carried", "others have it and bring it to them"),
            ("delivered", "it is on their station"),
            ("read", "somebody there has seen it"),
            ("~14:02", "a time that may be wrong: no clock was sure"),
        ],
    ),
    (
        "To call",
        [
            ("F2", "calls whoever is chosen"),
            ("Enter, Esc", "answers a call, or declines it"),
            ("F6 F7 F8", "microphone off and on, volume, other sound devices"),
            ("F3", "begins and ends talking, after Esc, Push to talk"),
            ("Esc Enter", "hangs up"),
            ("F2", "in a call: what is measured of its sound"),
            ("F5", "in a call: whoever is chosen joins it, up to 16"),
            ("F12", "calls that were missed, and all others"),
        ],
    ),
    (
        "To talk to all at once, as on a radio",
        [
            ("F3", "begins and ends it, for Everyone or the group that is chosen"),
            ("WAIT", "somebody else talks; then it is your turn"),
            ("open", "anybody can hear it, and pretend to be somebody else"),
            ("Esc 7", "interrupts, or lets you hear the last 2 minutes again"),
        ],
    ),
    (
        "Is it really them?",
        [
            ("?·k7qd", "a name with this is not verified: anybody may use any name"),
            ("F9", "compares six digits aloud. Once they match, the mark goes"),
            ("ALARM", "somebody uses the name or number of one you verified"),
        ],
    ),
    (
        "Who is there?",
        [
            ("here", "next to you, on a cable or radio that you share"),
            ("2 hops", "over another station: call and write all the same"),
            ("in reach", "there is a way; how long it is has not been found out yet"),
            ("away 20m", "not reached for so long; messages wait"),
        ],
    ),
    (
        "Everything else",
        [
            ("Esc", "the menu: everything has a number there"),
            ("F4", "the network: a picture of who is joined with whom, and over what"),
            ("Ctrl+L", "draws the screen anew, should something else have written on it"),
            ("Ctrl+C", "leaves the screen; your station goes on without it"),
        ],
    ),
]

_KEY_COLUMNS = 12


class HelpPage(PageDialog):
    """Short, in the order in which it is wanted."""

    title = "Help"

    def body(self, width: int) -> list[Row]:
        rows: list[Row] = []
        for heading, lines in _PARTS:
            rows.append([(heading, BOLD)])
            for key, text in lines:
                first, *rest = wrap(text, width - _KEY_COLUMNS - 2)
                space = " " * (_KEY_COLUMNS - len(key))
                rows.append([("  ", PLAIN), (key, KEY), (space, PLAIN), (first, PLAIN)])
                rows += [[(" " * (_KEY_COLUMNS + 2) + line, PLAIN)] for line in rest]
            rows.append([])
        return rows[:-1]
