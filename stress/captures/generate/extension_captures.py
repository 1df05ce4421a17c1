#!/usr/bin/python3
"""Captures 11 and 12: header extensions of which elements are encrypted (RFC 6904), by libsrtp (srtp_helper).

The packets are made up here, the same in every run. Elements follow one another without padding between them, since
libsrtp's keystream stands still over padding where the RFC's goes on; there is padding behind the last one. Some
packets have CSRCs, some have no extension.

usage: extension_captures.py OUTDIR
"""
import os, random, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import *

OUT = sys.argv[1]
LIB = 'libsrtp 2.5.0 (Debian bookworm) on made-up RTP/RTCP'


def rtp_packet(rng, seq, ts, ssrc, csrcs, elements, size):
    """elements: [(id, octets)] of the one-byte form (RFC 8285 4.2)"""
    body = b''.join(bytes([i << 4 | len(d) - 1]) + d for i, d in elements)
    body += bytes(-len(body) % 4)
    ext = struct.pack('>HH', 0xBEDE, len(body) // 4) + body if elements else b''
    head = struct.pack('>BBHII', 0x80 | (0x10 if elements else 0) | len(csrcs), 111, seq & 0xFFFF, ts, ssrc)
    return head + b''.join(struct.pack('>I', c) for c in csrcs) + ext + rng.randbytes(size)


def rtcp_packet(rng, ssrc):
    return struct.pack('>BBHI', 0x81, 201, 7, ssrc) + rng.randbytes(24)


def make(name, prof, port, ssrc, first_seq, ids, shapes, count, description):
    rng, h, key = random.Random(name), Helper(), make_key(prof, 'shared ' + name[:2])
    h.policy(0, 'out', prof, [(key, b'')], ids=ids)
    pk, pl = [], []
    for n in range(count):
        shape = shapes[n % len(shapes)]
        elements = [(i, rng.randbytes(size)) for i, size in shape]
        csrcs = [rng.getrandbits(32) for _ in range(n % 4 if n % 5 == 0 else 0)]
        b = rtp_packet(rng, first_seq + n, 960 * n, ssrc, csrcs, elements, 40 + rng.randrange(100))
        pk.append((20000 * n, port - 1000, port, h.protect(0, b)))
        pl.append(b)
        # What must differ on the wire does, and nothing else of the header.
        at = 12 + 4 * len(csrcs)
        assert pk[-1][3][:at] == b[:at]
        if elements:
            o = at + 4
            for i, d in elements:
                assert (pk[-1][3][o + 1:o + 1 + len(d)] == d) == (i not in ids) or len(d) < 3
                o += 1 + len(d)
        if n % 20 == 19:
            b = rtcp_packet(rng, ssrc)
            pk.append((20000 * n + 5000, port - 999, port + 1, h.protect(0, b)))
            pl.append(b)
    h.close()
    head = base_head(name, description, LIB, prof, [key_entry(prof, key)], 101, {'rtp': port, 'rtcp': port + 1}, encrypted_extension_ids=ids)
    write_pcap(os.path.join(OUT, name + '.pcap'), pk, head['linktype'])
    side_file(os.path.join(OUT, name + '.json'), head, records_in_order(head, [p[3] for p in pk], pl))
    print(name, len(pk), 'packets', os.path.getsize(os.path.join(OUT, name + '.pcap')), 'octets')


make('11-ext-cm80', 'AES_CM_128_HMAC_SHA1_80', 5022, 0x11E87E11, 65400, [1, 4],
     [[(1, 1), (3, 3), (4, 4)], [(1, 1), (3, 3)], [(3, 3), (4, 16)], []], 300,
     'header extensions of the one-byte form: elements 1 and 4 encrypted (RFC 6904), 3 in the clear; RTCP, wrap')
make('12-ext-gcm256', 'AEAD_AES_256_GCM', 5024, 0x12E87E12, 1000, [2, 5, 14],
     [[(2, 16), (5, 5), (6, 7)], [(6, 16), (14, 3)], [], [(14, 1), (2, 9), (5, 16), (7, 4)]], 300,
     'header extensions of the one-byte form: elements 2, 5 and 14 encrypted by AES-CM (RFC 6904), 6 and 7 in the clear; RTCP')
