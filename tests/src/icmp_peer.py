"""A peer for the tests of `icmp` checks that answers every other echo request, and the first one twice: READY.

It is the file READY that says when it listens. It ends when it has heard nothing for a minute.
"""

import socket
import struct
import sys

ECHO_REQUEST, ECHO_REPLY = 8, 0


def checksum(message):
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


peer = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
peer.settimeout(60)
with open(sys.argv[1], "w") as ready:
    ready.write("ready")
while True:
    packet, address = peer.recvfrom(65535)
    message = packet[(packet[0] & 15) * 4 :]
    kind, _, _, identifier, sequence = struct.unpack("!BBHHH", message[:8])
    if kind != ECHO_REQUEST or sequence % 2 == 1:
        continue
    reply = bytes([ECHO_REPLY, 0, 0, 0]) + message[4:]
    reply = reply[:2] + struct.pack("!H", checksum(reply)) + reply[4:]
    for _ in range(2 if sequence == 0 else 1):
        peer.sendto(reply, address)
