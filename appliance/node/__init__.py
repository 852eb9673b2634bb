"""The station's own logic: inputs and the time go in, effects come out.

Nothing in here opens a socket, reads a clock or starts a task; the daemon does that.
"""
