"""The local API: what clients may ask of the daemon, and the library with which they ask."""
