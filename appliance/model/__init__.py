"""What Fencewire talks about: identities, records, calls, commands and events, as frozen data.

Nothing in here does IO or reads a clock.
"""
