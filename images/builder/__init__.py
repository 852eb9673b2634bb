"""Builds the images: a bootable disk for a PC or a Raspberry Pi, from the lists in `images/`.

`scripts/image` runs it. What it makes is kept in a cache by the hash of what it was made from, so a
second run does only what has changed. Booting an image is for `images/vm`.
"""

from images.builder.sources import image_key

__all__ = ["image_key"]
