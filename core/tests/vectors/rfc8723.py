#!/usr/bin/env python3
"""Known answers for double encryption, by a model of RFC 8723 written from its text: writes rfc8723.json beside itself.

Needs the package `cryptography`. Nothing here knows anything of Keyflip: AES-GCM is the package's, key derivation is RFC 3711 4.3 by AES-ECB blocks,
packets are built and taken apart as sections 4 and 5 say. Keys and payloads come from SHA-256 of a name, so that every run writes the same file.
"""

import hashlib
import json
import pathlib
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def octets(name, length):
    out, count = b"", 0
    while len(out) < length:
        out += hashlib.sha256(f"{name}/{count}".encode()).digest()
        count += 1
    return out[:length]


def derive(master_key, master_salt, label, length):
    """RFC 3711 4.3.1 with rate 0; a salt of 96 bits is padded on the right (RFC 7714 11)."""
    x = int.from_bytes(master_salt.ljust(14, b"\0"), "big") ^ (label << 48)
    out, block = b"", 0
    encryptor = Cipher(algorithms.AES(master_key), modes.ECB()).encryptor()
    while len(out) < length:
        out += encryptor.update((x << 16 | block).to_bytes(16, "big"))
        block += 1
    return out[:length]


class Layer:
    """One AEAD_AES_GCM layer (RFC 7714 8)."""

    def __init__(self, master_key, master_salt):
        self.key = derive(master_key, master_salt, 0, len(master_key))
        self.salt = derive(master_key, master_salt, 2, 12)

    def nonce(self, header, roc):
        ssrc, seq = header[8:12], header[2:4]
        plain = b"\0\0" + ssrc + struct.pack(">I", roc) + seq
        return bytes(a ^ b for a, b in zip(plain, self.salt))

    def seal(self, header, payload, roc):
        return AESGCM(self.key).encrypt(self.nonce(header, roc), payload, header)

    def open(self, header, payload, roc):
        return AESGCM(self.key).decrypt(self.nonce(header, roc), payload, header)


def split(packet):
    """Header without extension, extension, payload."""
    base = 12 + 4 * (packet[0] & 15)
    end = base
    if packet[0] & 0x10:
        end += 4 + 4 * struct.unpack(">H", packet[base + 2 : base + 4])[0]
    return packet[:base], packet[base:end], packet[end:]


def synthetic(base):
    return bytes([base[0] & ~0x10]) + base[1:]


def halves(key):
    return key[: len(key) // 2], key[len(key) // 2 :]


def layers(key, salt):
    (inner, outer), (inner_salt, outer_salt) = halves(key), halves(salt)
    return Layer(inner, inner_salt), Layer(outer, outer_salt)


def encrypt(key, salt, packet, roc):
    """Section 5.1."""
    inner, outer = layers(key, salt)
    base, extension, payload = split(packet)
    hidden = inner.seal(synthetic(base), payload, roc) + b"\0"
    return base + extension + outer.seal(base + extension, hidden, roc)


def read_block(payload):
    """Section 4, from the end. The block's fields, and what is before it."""
    config, rest = payload[-1], payload[:-1]
    assert config & 0xF0 == 0
    fields = {}
    if config & 1:
        fields["seq"], rest = struct.unpack(">H", rest[-2:])[0], rest[:-2]
    if config & 2:
        fields["pt"], rest = rest[-1], rest[:-1]
    if config & 4:
        fields["m"] = config >> 3 & 1
    return fields, rest


def write_block(fields):
    config = ("m" in fields) * 4 | fields.get("m", 0) * 8 | ("pt" in fields) * 2 | ("seq" in fields)
    out = bytes([fields["pt"]]) if "pt" in fields else b""
    out += struct.pack(">H", fields["seq"]) if "seq" in fields else b""
    return out + bytes([config])


def fields_of(base):
    return {"pt": base[1] & 127, "m": base[1] >> 7, "seq": struct.unpack(">H", base[2:4])[0]}


def with_fields(base, fields):
    return base[:1] + bytes([fields["m"] << 7 | fields["pt"]]) + struct.pack(">H", fields["seq"]) + base[4:]


def relay(outer_in, outer_out, packet, roc_in, roc_out, changes):
    """Section 5.2."""
    base, extension, payload = split(packet)
    block, hidden = read_block(outer_in.open(base + extension, payload, roc_in))
    before = fields_of(base)
    after = {**before, **changes}
    for name in before:
        if after[name] == before[name]:
            continue
        block.setdefault(name, before[name])
        if block[name] == after[name]:
            del block[name]
    base = with_fields(base, after)
    return base + extension + outer_out.seal(base + extension, hidden + write_block(block), roc_out)


def decrypt(key, salt, packet, roc_outer, roc_inner):
    """Section 5.3: what an application has, with PT and sequence number of the outer packet."""
    inner, outer = layers(key, salt)
    base, extension, payload = split(packet)
    block, hidden = read_block(outer.open(base + extension, payload, roc_outer))
    received = fields_of(base)
    original = {**received, **block}
    plain = inner.open(synthetic(with_fields(base, original)), hidden, roc_inner)
    return with_fields(base, {**received, "m": original["m"]}) + extension + plain, original


def rtp(seq, marker, pt, csrcs, extension, payload):
    first = 0x80 | (0x10 if extension is not None else 0) | len(csrcs)
    out = bytes([first, marker << 7 | pt]) + struct.pack(">HII", seq, 160 * seq, 0xCAFEBABE)
    out += b"".join(struct.pack(">I", csrc) for csrc in csrcs)
    if extension is not None:
        out += struct.pack(">HH", 0xBEDE, len(extension) // 4) + extension
    return out + payload


def main():
    shapes = [
        ("plain", [], None, 20),
        ("no payload", [], None, 0),
        ("csrcs", [1, 0xFFFFFFFF], None, 33),
        ("extension", [], octets("extension", 8), 160),
        ("both", [7, 8, 9], b"\x10\xaa\x00\x00", 300),
        ("empty extension", [], b"", 5),
    ]
    hops = [
        ("unchanged", [{}]),
        ("pt", [{"pt": 97}]),
        ("seq", [{"seq": 40000}]),
        ("marker", [{"m": 0}]),
        ("all", [{"pt": 0, "seq": 65535, "m": 0}]),
        ("all, twice", [{"pt": 0, "seq": 65535}, {"pt": 1, "seq": 3, "m": 0}]),
        ("there and back", [{"pt": 0, "seq": 2, "m": 0}, {"pt": 96, "seq": 1000, "m": 1}]),
    ]
    vectors = []
    for name, key_len in [("DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM", 16), ("DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM", 32)]:
        for shape, csrcs, extension, payload_len in shapes:
            for hop, changes in hops:
                case = f"{name} {shape} {hop}"
                inner_key, inner_salt = octets(case + " inner key", key_len), octets(case + " inner salt", 12)
                outer = [(octets(f"{case} outer key {n}", key_len), octets(f"{case} outer salt {n}", 12)) for n in range(len(changes) + 1)]
                whole = lambda n: (inner_key + outer[n][0], inner_salt + outer[n][1])
                roc = hashlib.sha256(case.encode()).digest()[0]
                # The next hops count rollovers of their own.
                rocs = [roc] + [roc + 1000 * n for n in range(1, len(changes) + 1)]
                packet = rtp(1000, 1, 96, csrcs, extension, octets(case + " payload", payload_len))
                sent = [encrypt(*whole(0), packet, roc)]
                for n, change in enumerate(changes):
                    sent.append(relay(Layer(*outer[n]), Layer(*outer[n + 1]), sent[-1], rocs[n], rocs[n + 1], change))
                received, original = decrypt(*whole(-1), sent[-1], rocs[-1], roc)
                assert split(received)[2] == split(packet)[2] and original == {"pt": 96, "m": 1, "seq": 1000}
                vectors.append(
                    {
                        "id": case,
                        "profile": name,
                        "inner_key": inner_key.hex(),
                        "inner_salt": inner_salt.hex(),
                        "outer": [{"key": key.hex(), "salt": salt.hex(), "roc": rocs[n]} for n, (key, salt) in enumerate(outer)],
                        "changes": changes,
                        "plaintext": packet.hex(),
                        "protected": [octets.hex() for octets in sent],
                        "received": received.hex(),
                    }
                )
    title = "RFC 8723: packets of an endpoint, of one or two media distributors after it, and what the receiver has; by rfc8723.py"
    with open(pathlib.Path(__file__).with_suffix(".json"), "w") as file:
        head = json.dumps({"title": title, "format_version": 1})[:-1]
        file.write(head + ', "vectors": [\n' + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]}\n")


main()
