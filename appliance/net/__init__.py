"""The network helper: links, routes, radios, queues and firewall.  CAP_NET_ADMIN and no more."""
