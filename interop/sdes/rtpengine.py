"""rtpengine as a peer: what it makes of a crypto attribute, and packets that it protects with keys of its own."""

import re
import secrets
import socket
import subprocess
import time

NG_PORT = 22222
# What its log says of the keys that it took from an offer.
INCOMING = re.compile(
    r"Initialized incoming SRTP with SDES crypto params: suite (?P<suite>\w+), tag (?P<tag>\d+), "
    r"key (?P<key>\S+) salt (?P<salt>[^\s,]+)(?P<rest>.*)"
)


def encode(value):
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def decode(octets, at=0):
    kind = octets[at : at + 1]
    if kind == b"i":
        end = octets.index(b"e", at)
        return int(octets[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        at, items = at + 1, []
        while octets[at : at + 1] != b"e":
            item, at = decode(octets, at)
            items.append(item)
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2]))), at + 1
    colon = octets.index(b":", at)
    end = colon + 1 + int(octets[at:colon])
    return octets[colon + 1 : end], end


def sdp(protocol, port, lines):
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    media = [f"m=audio {port} {protocol} 0", "a=rtpmap:0 PCMU/8000"]
    return "".join(line + "\r\n" for line in head + media + lines)


def bound():
    """A socket for RTP, and one for RTCP on the next port."""
    while True:
        rtp, rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        rtp.bind(("127.0.0.1", 0))
        try:
            rtcp.bind(("127.0.0.1", rtp.getsockname()[1] + 1))
        except OSError:
            continue
        rtp.settimeout(3)
        rtcp.settimeout(3)
        return rtp, rtcp


class Rtpengine:
    def __init__(self, binary, log):
        self.log = open(log, "w+", encoding="utf-8", errors="replace")
        arguments = ["--foreground", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{NG_PORT}", "--table=-1"]
        arguments += ["--port-min=30000", "--port-max=39000", "--log-stderr", "--log-level=7"]
        self.process = subprocess.Popen([binary, *arguments], stderr=self.log)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(3)
        time.sleep(2)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, **arguments):
        cookie = secrets.token_hex(8).encode()
        request = encode({name.replace("_", "-"): value for name, value in arguments.items()})
        self.socket.sendto(cookie + b" " + request, ("127.0.0.1", NG_PORT))
        return decode(self.socket.recv(65536)[len(cookie) + 1 :])[0]

    def call(self, lines, port, plain_port):
        """An SRTP offer of `lines` from `port`, answered in the clear at `plain_port`: the SDP for each side, and the call's name."""
        name = secrets.token_hex(8)
        common = {"call_id": name, "ICE": "remove", "DTLS": "off", "from_tag": "a"}
        offer = sdp("RTP/SAVP", port, lines)
        offered = self.ask(command="offer", sdp=offer, transport_protocol="RTP/AVP", **common)
        if offered.get(b"result") != b"ok":
            return None
        answered = self.ask(command="answer", sdp=sdp("RTP/AVP", plain_port, []), to_tag="b", **common)
        return name, answered.get(b"sdp", b"").decode(), offered[b"sdp"].decode()

    def end(self, name):
        self.ask(command="delete", call_id=name, from_tag="a")

    def read(self, line):
        """What it makes of an attribute: tag, suite, key and salt, and what else its log says; None if it refuses it."""
        self.log.seek(0, 2)
        at = self.log.tell()
        call = self.call([line], 40000, 40002)
        if call is None:
            return None
        self.end(call[0])
        self.log.seek(at)
        found = INCOMING.search(self.log.read())
        if not found:
            return None
        return {name: found[name] for name in ("tag", "suite", "key", "salt", "rest")}

    def protect(self, suite, key, packets):
        """Has it protect RTP packets, and an RTCP packet behind them: its attribute, and what it sends for each."""
        (rtp, rtcp), (plain_rtp, plain_rtcp) = bound(), bound()
        line = f"a=crypto:1 {suite} inline:{key}"
        name, answer, offer = self.call([line], rtp.getsockname()[1], plain_rtp.getsockname()[1])
        port = int(re.search(r"m=audio (\d+)", offer)[1])
        sent = []
        for plain in packets:
            is_rtcp = 192 <= plain[1] <= 223
            (plain_rtcp if is_rtcp else plain_rtp).sendto(plain, ("127.0.0.1", port + is_rtcp))
            sent.append((rtcp if is_rtcp else rtp).recv(2048))
        self.end(name)
        return next(line for line in answer.split("\r\n") if line.startswith("a=crypto:")), sent
