"""The network helper: links, routes, radios, queues and firewall, with CAP_NET_ADMIN and no more."""
