"""From a captured frame of a link layer to the UDP datagram in it.

IEEE 802.3 and 802.1Q, Linux cooked captures, BSD loopback, raw IP; RFC 791, 8200, 768. Link types
are numbered by draft-ietf-opsawg-pcaplinktype.
"""

import ipaddress

NULL, ETHERNET, RAW, LOOP, COOKED, COOKED_2 = 0, 1, 101, 108, 113, 276
RAW_IP = (RAW, 12, 14, 228, 229)  # 12 and 14: what BSDs call RAW in files
IPV4, IPV6 = 0x0800, 0x86DD
VLAN = (0x8100, 0x88A8, 0x9100)
UDP, FRAGMENT, EXTENSIONS = 17, 44, (0, 43, 60)


class NotUDP(Exception):
    """The frame holds no complete UDP datagram; the message becomes a note."""


def datagram(link: int, frame: bytes) -> tuple[str, bytes]:
    """("source > destination", payload)."""
    packet = _packet(link, frame)
    source, destination, body = _transport(packet)
    if len(body) < 8:
        raise NotUDP("UDP datagrams that are cut short")
    length = int.from_bytes(body[4:6], "big")
    if not 8 <= length <= len(body):
        raise NotUDP("UDP datagrams whose length is wrong")
    ports = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
    return f"{source}:{ports[0]} > {destination}:{ports[1]}", body[8:length]


def _packet(link: int, frame: bytes) -> bytes:
    if link == ETHERNET:
        return _tagged(frame, 12)
    if link == COOKED:
        return _tagged(frame, 14)
    if link == COOKED_2:
        return _of_type(int.from_bytes(frame[:2], "big"), frame[20:])
    if link in (NULL, LOOP):
        return frame[4:]
    if link in RAW_IP:
        return frame
    raise NotUDP(f"packets of link type {link}, which is not known")


def _tagged(frame: bytes, at: int) -> bytes:
    """The packet after the EtherType, any VLAN tags skipped."""
    while int.from_bytes(frame[at : at + 2], "big") in VLAN:
        at += 4
    return _of_type(int.from_bytes(frame[at : at + 2], "big"), frame[at + 2 :])


def _of_type(kind: int, packet: bytes) -> bytes:
    if kind not in (IPV4, IPV6):
        raise NotUDP("packets that are not IP")
    return packet


def _transport(packet: bytes) -> tuple[str, str, bytes]:
    """Addresses, and the UDP datagram."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        return _ipv4(packet)
    if version == 6 and len(packet) >= 40:
        return _ipv6(packet)
    raise NotUDP("packets that are not IP")


def _ipv4(packet: bytes) -> tuple[str, str, bytes]:
    head, total = 4 * (packet[0] & 15), int.from_bytes(packet[2:4], "big")
    if head < 20 or (total and not head <= total <= len(packet)):
        raise NotUDP("IP packets whose length is wrong")
    if int.from_bytes(packet[6:8], "big") & 0x3FFF:
        raise NotUDP("fragments of IP packets, which are not joined")
    if packet[9] != UDP:
        raise NotUDP("packets that are not UDP")
    source, destination = (ipaddress.IPv4Address(packet[at : at + 4]) for at in (12, 16))
    return str(source), str(destination), packet[head : total or len(packet)]


def _ipv6(packet: bytes) -> tuple[str, str, bytes]:
    length, following, at = int.from_bytes(packet[4:6], "big"), packet[6], 40
    if length > len(packet) - at:
        raise NotUDP("IP packets whose length is wrong")
    body = packet[: at + length] if length else packet
    while following in EXTENSIONS and at + 8 <= len(body):
        following, at = body[at], at + 8 * (body[at + 1] + 1)
    if following == FRAGMENT:
        raise NotUDP("fragments of IP packets, which are not joined")
    if following != UDP:
        raise NotUDP("packets that are not UDP")
    source, destination = (ipaddress.IPv6Address(packet[begin : begin + 16]) for begin in (8, 24))
    return f"[{source}]", f"[{destination}]", body[at:]
