"""Hundreds of real stations in one process: virtual time, a bad network, and one seed for it all.

`world` puts together what the other modules hold; `checkers` judges what comes of it; `scripts/sim`
runs it by hand.  Only the public face of `Station` and its ports is used.
"""
