"""Client networks: what counts as one client."""

from __future__ import annotations

import pytest

from tokenauth.accounts.networks import network_of, wider_network_of


@pytest.mark.parametrize(
    ("address", "network", "wider"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.0/24"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.0/24"),
        ("192.0.2.1:50001", "192.0.2.1", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("[fe80::1%eth0]:80", "fe80::/64", "fe80::/48"),
        ("", "unknown", "unknown"),
        (None, "unknown", "unknown"),
        ("unix:", "unknown", "unknown"),
        ("proxy.example:80", "unknown", "unknown"),
        ("[", "unknown", "unknown"),
    ],
)
def test_an_address_belongs_to_a_network(
    address: str | None, network: str, wider: str
) -> None:
    """IPv6 by /64, IPv4-mapped as IPv4, ports ignored; around it a /48 or a /24."""
    assert network_of(address) == network
    assert wider_network_of(network) == wider
