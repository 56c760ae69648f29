"""Client networks: the unit in which clients are counted."""

from __future__ import annotations

import ipaddress


def network_of(address: str | None) -> str:
    """Return the network that a client's address belongs to.

    An IPv6 host owns its /64. An IPv4 address mapped into IPv6 is the IPv4 address.
    Some gateways write `address:port` into `X-Forwarded-For`: the port is ignored.
    Clients without an address (a Unix socket) share one network, "unknown"; behind a
    proxy, Werkzeug's `ProxyFix` tells them apart.
    """
    ip = _ip_of(address or "")
    if ip is None:
        return "unknown"
    return str(ip) if ip.version == 4 else _enclosing(ip, 64)


def wider_network_of(network: str) -> str:
    """Return what one customer of a provider can have: an IPv4 /24, an IPv6 /48.

    Args:
        network: As `network_of` returns it.
    """
    ip = _ip_of(network.partition("/")[0])
    if ip is None:
        return network
    return _enclosing(ip, 24 if ip.version == 4 else 48)


def _ip_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ip
    return ip


def _enclosing(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix_length: int
) -> str:
    return str(ipaddress.ip_network((ip, prefix_length), strict=False))
