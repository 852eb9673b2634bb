"""The daemon: where the station, the adapters and the local API are put together."""
