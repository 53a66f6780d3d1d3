"""IP addresses of the open internet: one table of all others, and the forms that hide an IPv4 address.

The table is IANA's two special-purpose registries, also their blocks that can be reached (anycast, AS112, AMT):
nobody serves maps from there. It adds multicast, reserved and outdated blocks. Of IPv6 only the allocated block,
2000::/3, can be public at all, and NAT64's prefix for the IPv4 address in it.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Network

SPECIAL_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # shared by a provider's customers, RFC 6598
        "127.0.0.0/8",  # this machine, RFC 1122
        "169.254.0.0/16",  # link-local, where clouds keep their metadata, RFC 3927
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments: DS-Lite, PCP and TURN anycast, dummy, NAT64 discovery; RFC 6890
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # AMT, RFC 7450
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "192.175.48.0/24",  # AS112, RFC 7534
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved, with broadcast 255.255.255.255; RFC 1112, RFC 8190
    )
)
SPECIAL_V6 = tuple(
    IPv6Network(block)
    for block in (
        "::/96",  # no address, this machine (RFC 4291), IPv4-compatible (outdated there)
        "::ffff:0:0/96",  # IPv4-mapped, RFC 4291
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b:1::/48",  # NAT64 of a local network, RFC 8215
        "100::/64",  # discard, RFC 6666
        "100:0:0:1::/64",  # dummy prefix, RFC 9780
        "2001::/23",  # protocol assignments, RFC 2928, among them:
        # 2001::/32 Teredo (RFC 4380), 2001:1::1 PCP anycast (RFC 7723), 2001:1::2 TURN anycast (RFC 8155),
        # 2001:1::3 DNS-SD (RFC 9665), 2001:2::/48 benchmarks (RFC 5180), 2001:3::/32 AMT (RFC 7450),
        # 2001:4:112::/48 AS112 (RFC 7535), 2001:10::/28 and 2001:20::/28 ORCHID (RFC 4843, RFC 7343),
        # 2001:30::/28 drone identifiers (RFC 9374)
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056
        "2620:4f:8000::/48",  # AS112, RFC 7534
        "3fff::/20",  # documentation, RFC 9637
        "5f00::/16",  # segment routing, RFC 9602
        "fc00::/7",  # unique local, RFC 4193
        "fe80::/10",  # link-local, RFC 4291
        "fec0::/10",  # site-local, RFC 3879
        "ff00::/8",  # multicast, RFC 4291
    )
)
_GIVEN_OUT = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_ISATAP = (0x00005EFE, 0x02005EFE)  # upper half of the interface id, RFC 5214


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the open internet.

    Args:
        address: as text; an IPv6 address may have a scope (%eth0), which makes it one of a link.

    Returns:
        False also for a text that is no address, and for IPv6 forms of IPv4 addresses that lead to none that is public.
        IPv4-mapped, 6to4 and Teredo addresses are refused whatever they hold: no name needs to resolve to one.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in block for block in SPECIAL_V4)
    if ip.scope_id is not None:
        return False
    inner = IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip in _NAT64:
        return is_public(str(inner))
    if (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP and not is_public(str(inner)):
        return False
    return ip in _GIVEN_OUT and not any(ip in block for block in SPECIAL_V6)
