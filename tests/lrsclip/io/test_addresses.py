"""Which IP addresses may be asked: every special block to its edges, in every spelling that hides an IPv4 address."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.errors import AddressError
from lrsclip.io import safe_fetch as web
from lrsclip.io.addresses import SPECIAL_V4, SPECIAL_V6, is_public

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.1 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1
192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 233.252.0.1 239.255.255.255
240.0.0.1 255.255.255.255 :: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8
::ffff:0:7f00:1 ::ffff:0:0808:0808 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::192.0.0.192 64:ff9b:1::1
64:ff9b:1:ffff::8.8.8.8 64:ff9b:0:0:1::1 100::1 100:0:0:1::1 2001::1 2001:0:808:808::f7f7:f7f7 2001:1::1 2001:1::3
2001:2::1 2001:3::1 2001:4:112::1 2001:10::1 2001:20::1 2001:30::1 2001:1ff:ffff::1 2001:db8::1 2002:7f00:1::1
2002:a00:1::1 2002:808:808::1 2620:4f:8000::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1 8000::1 fc00::1 fdff::1 fe80::1
febf::1 fec0::1 feff::1 ff02::1 ff0e::1 2606:4700::5efe:127.0.0.1 2606:4700::200:5efe:10.0.0.1
2606:4700:1:2:0:5efe:a9fe:a9fe fe80::1%eth0 2606:4700::1111%eth0 1::1 1fff::1
""".split()
ALLOWED = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
203.0.112.255 203.0.114.0 223.255.255.255 2000::1 2001:200::1 2001:4860:4860::8888 2003::1 2606:4700::1111
2620:4f:7fff::1 2620:4f:8001::1 2a00:1450::1 3ffe::1 3fff:1000::1 64:ff9b::8.8.8.8 2606:4700::5efe:8.8.8.8
""".split()
NO_ADDRESSES = [
    "",
    "x",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.4.5",
    "256.1.1.1",
    "1.1.1.1%eth0",
    "[::1]",
    "::1%",
    "1:2",
    "٨.8.8.8",
    "127.1",
    "2130706433",
    "0x7f000001",
    "8.8.8.8\n",
    "8.8.8.8/32",
]


@pytest.mark.parametrize("address", [*REFUSED, *NO_ADDRESSES])
def test_what_is_special_or_no_address_is_not_public(address: str) -> None:
    assert is_public(address) is False


@pytest.mark.parametrize("address", ALLOWED)
def test_what_is_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address) is True


@pytest.mark.parametrize("block", [*SPECIAL_V4, *SPECIAL_V6], ids=str)
def test_a_block_ends_where_it_ends(block: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
    assert not is_public(str(block[0]))
    assert not is_public(str(block[-1]))
    first, last = int(block.network_address), int(block.broadcast_address)
    kind, blocks = (IPv4Address, SPECIAL_V4) if block.version == 4 else (IPv6Address, SPECIAL_V6)
    for number in (first - 1, last + 1):
        if not 0 <= number < 2**block.max_prefixlen:
            continue
        beside = kind(number)
        elsewhere = any(beside in other for other in blocks)  # a neighbor may be special in its own right
        given_out = block.version == 4 or beside in ipaddress.ip_network("2000::/3")
        assert is_public(str(beside)) is (given_out and not elsewhere)


def spellings(inner: IPv4Address) -> list[str]:
    """Every way to write an IPv4 address that leads there."""
    number = int(inner)
    high, low = number >> 16, number & 0xFFFF
    return [
        str(inner),
        f"::{inner}",
        f"::ffff:{inner}",
        f"::ffff:0:{high:x}:{low:x}",
        f"64:ff9b::{inner}",
        f"64:ff9b:1::{inner}",
        f"2002:{high:x}:{low:x}::1",
        str(IPv6Address((0x20010000 << 96) | (0x08080808 << 64) | (~number & 0xFFFFFFFF))),
        str(IPv6Address((0x20010000 << 96) | (number << 64) | 0xF7F7F7F7)),
        f"2606:4700:1:2:0:5efe:{high:x}:{low:x}",
        f"2606:4700:1:2:200:5efe:{high:x}:{low:x}",
        f"fe80::5efe:{inner}%eth0",
    ]


@given(st.sampled_from(SPECIAL_V4).flatmap(lambda block: st.integers(int(block[0]), int(block[-1]))))
def test_no_special_ipv4_address_is_public_in_any_spelling(number: int) -> None:
    public = [spelling for spelling in spellings(IPv4Address(number)) if is_public(spelling)]
    assert not public


@given(st.sampled_from(SPECIAL_V6).flatmap(lambda block: st.integers(int(block[0]), int(block[-1]))))
def test_no_special_ipv6_address_is_public(number: int) -> None:
    assert not is_public(str(IPv6Address(number)))
    assert not is_public(IPv6Address(number).exploded)


@given(st.text(max_size=50))
def test_any_text_is_judged(text: str) -> None:
    assert is_public(text) in (True, False)


@pytest.mark.parametrize(
    "address",
    ["192.0.0.192", "::127.0.0.1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "fec0::1", "fe80::1%lo", "nonsense"],
)
def test_a_name_that_leads_there_is_refused_before_it_is_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a resolver says: one bad address among good ones is enough."""
    monkeypatch.delenv(web.ALLOW_PRIVATE, raising=False)
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("2606:4700::1111", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    monkeypatch.setattr(socket, "create_connection", lambda *_args, **_options: pytest.fail("it was asked"))
    with pytest.raises(AddressError, match="this machine or its own network"):
        web.fetch("http://some.example/", max_bytes=100)
