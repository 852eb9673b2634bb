"""Wi-Fi between stations: what a radio can do, which mode and channel it takes, when it changes.

`tables` has what all stations must agree on; `iw_text` reads what the program iw prints; `choice`
decides which radio does what; `joining` turns that into one action after the other.  Running iw
stays out (`net`).
"""
