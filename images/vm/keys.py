"""What keys are called here, what a terminal sends for them, and what QEMU calls them.

Keys are single characters or one of the names in `NAMES`; `Ctrl-`, `Alt-` and `Shift-` may go
before. QEMU presses keys, not characters, so characters stand where a US keyboard has them.
"""

from __future__ import annotations

NAMES: dict[str, tuple[str, str]] = {
    "Enter": ("\r", "ret"),
    "Escape": ("\x1b", "esc"),
    "Tab": ("\t", "tab"),
    "Backspace": ("\x7f", "backspace"),
    "Space": (" ", "spc"),
    "Up": ("\x1b[A", "up"),
    "Down": ("\x1b[B", "down"),
    "Right": ("\x1b[C", "right"),
    "Left": ("\x1b[D", "left"),
    "Home": ("\x1b[1~", "home"),
    "End": ("\x1b[4~", "end"),
    "Insert": ("\x1b[2~", "insert"),
    "Delete": ("\x1b[3~", "delete"),
    "PageUp": ("\x1b[5~", "pgup"),
    "PageDown": ("\x1b[6~", "pgdn"),
    "F1": ("\x1bOP", "f1"),
    "F2": ("\x1bOQ", "f2"),
    "F3": ("\x1bOR", "f3"),
    "F4": ("\x1bOS", "f4"),
    "F5": ("\x1b[15~", "f5"),
    "F6": ("\x1b[17~", "f6"),
    "F7": ("\x1b[18~", "f7"),
    "F8": ("\x1b[19~", "f8"),
    "F9": ("\x1b[20~", "f9"),
    "F10": ("\x1b[21~", "f10"),
    "F11": ("\x1b[23~", "f11"),
    "F12": ("\x1b[24~", "f12"),
}
"""Bytes of a VT220 and QEMU's code, by the name of the key."""

MODIFIERS = {"Ctrl": "ctrl", "Alt": "alt", "Shift": "shift"}

PUNCTUATION = {
    " ": "spc",
    "-": "minus",
    "=": "equal",
    "[": "bracket_left",
    "]": "bracket_right",
    ";": "semicolon",
    "'": "apostrophe",
    "`": "grave_accent",
    "\\": "backslash",
    ",": "comma",
    ".": "dot",
    "/": "slash",
    "\n": "ret",
    "\t": "tab",
}
SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))


def terminal_bytes(key: str) -> bytes:
    """What a terminal sends when a key is pressed."""
    if key in NAMES:
        return NAMES[key][0].encode()
    if key.startswith("Ctrl-") and len(key) == len("Ctrl-x"):
        return bytes([ord(key[-1].upper()) & 0x1F])
    if key.startswith("Alt-"):
        return b"\x1b" + terminal_bytes(key.removeprefix("Alt-"))
    if len(key) == 1:
        return key.encode()
    raise ValueError(f"no key of a terminal: {key}")


def qemu_codes(key: str) -> list[str]:
    """The codes of QEMU's that are held down together for a key."""
    if key in NAMES:
        return [NAMES[key][1]]
    modifier, dash, rest = key.partition("-")
    if dash and rest and modifier in MODIFIERS:
        return [MODIFIERS[modifier], *qemu_codes(rest)]
    if key in SHIFTED:
        return ["shift", *qemu_codes(SHIFTED[key])]
    if key in PUNCTUATION:
        return [PUNCTUATION[key]]
    if len(key) == 1 and key.isascii() and key.isalnum():
        return ["shift", key.lower()] if key.isupper() else [key]
    raise ValueError(f"no key of a US keyboard: {key}")
