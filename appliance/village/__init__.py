"""A village: several stations on one machine, each in a network namespace of its own.

`topology` says which stations and cables there are, `keeper` is the process that holds them (the
first one of its process namespace: when it goes, everything goes), `fabric` is the cables, `relay`
delays their packets, `enter` runs a command inside a station, and `village` is the Python side
that tests and benches use. `command` is `fencewire village`. Nothing here knows what a daemon does;
this module stays empty so that entering a station stays fast.
"""
