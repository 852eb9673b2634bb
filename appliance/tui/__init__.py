"""The screen: a client of the local API in a terminal.

It keeps nothing that matters: whatever it shows comes from the daemon and whatever is done goes
there, so it may be closed, killed or opened twice at any time.  What stays out: sound (the daemon
rings), storage, and every decision about trust.
"""
