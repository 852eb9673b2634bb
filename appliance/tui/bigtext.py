"""Letters five rows high, to be read from across a room."""

from __future__ import annotations

BIG_ROWS = 5
_BIG_COLUMNS = 6
"""Of a letter with the space behind it."""

_INK = "█"

# Five rows of five columns each, from the top, one hexadecimal digit pair per row.
_SHAPES = {
    "A": "0e111f1111",
    "B": "1e111e111e",
    "C": "0f1010100f",
    "D": "1e1111111e",
    "E": "1f101e101f",
    "F": "1f101e1010",
    "G": "0f1013110f",
    "H": "11111f1111",
    "I": "0e0404040e",
    "J": "010101110e",
    "K": "11121c1211",
    "L": "101010101f",
    "M": "111b151111",
    "N": "1119151311",
    "O": "0e1111110e",
    "P": "1e111e1010",
    "Q": "0e1111120d",
    "R": "1e111e1211",
    "S": "0f100e011e",
    "T": "1f04040404",
    "U": "111111110e",
    "V": "1111110a04",
    "W": "1111151b11",
    "X": "110a040a11",
    "Y": "110a040404",
    "Z": "1f0204081f",
    "0": "0e1315190e",
    "1": "040c04040e",
    "2": "1e010e101f",
    "3": "1e010e011e",
    "4": "11111f0101",
    "5": "1f101e011e",
    "6": "0e101e110e",
    "7": "1f01020404",
    "8": "0e110e110e",
    "9": "0e110f010e",
    "-": "00000e0000",
    "_": "000000001f",
    ".": "0000000004",
    " ": "0000000000",
}


def can_be_big(text: str) -> bool:
    """Tell whether there is a shape for every character."""
    return bool(text) and all(char in _SHAPES for char in text.upper())


def big(text: str) -> list[str]:
    """Return five rows."""
    rows = []
    for row in range(BIG_ROWS):
        bits = [int(_SHAPES[char][2 * row : 2 * row + 2], 16) for char in text.upper()]
        rows.append("".join(f"{one:05b} " for one in bits).replace("0", " ").replace("1", _INK))
    return rows


def big_width(text: str) -> int:
    """Return the columns that `big` takes."""
    return _BIG_COLUMNS * len(text)
