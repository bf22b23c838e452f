"""Whose address it is: never what the client claims, unless a trusted proxy says it."""

from __future__ import annotations

import ipaddress

import pytest

from portfolio_analytics.producer.address import NOWHERE, Places, client_address, peer_address

TRUSTED = tuple(ipaddress.ip_network(n) for n in ("10.0.0.0/8", "127.0.0.1/32", "2001:db8::/32"))


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("192.0.2.1:5000", "192.0.2.1"),
        ("[2001:db8::1]:5000", "2001:db8::1"),
        ("2001:db8::1:5000", "2001:db8::1"),
        ("[::ffff:192.0.2.1]:5000", "192.0.2.1"),
        ("::ffff:192.0.2.1:5000", "192.0.2.1"),
        ("", ""),
    ],
)
def test_peers(client: str, address: str) -> None:
    assert peer_address(client) == address


FORWARDED = [
    # An untrusted peer is the client, whatever it claims.
    ("192.0.2.1", [], "192.0.2.1"),
    ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),
    ("192.0.2.1", ["10.0.0.1"], "192.0.2.1"),
    # A trusted peer: the right-most address that is not a trusted proxy.
    ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
    ("10.0.0.1", ["1.1.1.1, 198.51.100.9"], "198.51.100.9"),
    ("10.0.0.1", ["1.1.1.1, 198.51.100.9, 10.0.0.2"], "198.51.100.9"),
    ("10.0.0.1", ["1.1.1.1", "198.51.100.9"], "198.51.100.9"),
    ("10.0.0.1", ["198.51.100.9:4711"], "198.51.100.9"),
    ("10.0.0.1", ["[2a00::1]:4711"], "2a00::1"),
    ("10.0.0.1", ["2a00::1"], "2a00::1"),
    ("10.0.0.1", ["::ffff:198.51.100.9"], "198.51.100.9"),
    ("2001:db8::5", ["198.51.100.9"], "198.51.100.9"),
    # All are proxies: the left-most of them. What is no address ends the chain.
    ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ("10.0.0.1", ["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
    ("10.0.0.1", [""], "10.0.0.1"),
    ("10.0.0.1", [], "10.0.0.1"),
]


@pytest.mark.parametrize(("peer", "forwarded", "client"), FORWARDED)
def test_clients_behind_proxies(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == client


def test_countries_come_without_a_file() -> None:
    places = Places(None)
    assert places.of("8.8.8.8").country == "US"
    assert places.of("2a00:1450:4009:81f::200e").country is not None
    for address in ("127.0.0.1", "10.0.0.1", "", "no address", "::1"):
        assert places.of(address) == NOWHERE
