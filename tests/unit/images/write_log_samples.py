"""Logs of writes, as a machine would leave them."""

import struct
from pathlib import Path

SECTOR = 512
FLUSH = 1


def superblock(*, version: int = 1, sector_size: int = SECTOR) -> bytes:
    """The first sector; it counts no entries, as before the first flush."""
    return struct.pack("<QQQI", 0x6A736677736872, version, 0, sector_size).ljust(SECTOR, b"\0")


class Log:
    """A log that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(superblock())

    def entry(self, sector: int, sectors: int, *, flags: int = 0, data: bytes = b"") -> int:
        """Append an entry; return where it ends."""
        header = struct.pack("<QQQQ", sector, sectors, flags, 0).ljust(SECTOR, b"\0")
        with self.path.open("ab") as file:
            file.write(header + data)
            return file.tell()

    def write(self, sector: int, data: bytes, *, flags: int = 0) -> int:
        return self.entry(sector, len(data) // SECTOR, flags=flags, data=data)

    def flush(self) -> int:
        return self.entry(0, 0, flags=FLUSH)
