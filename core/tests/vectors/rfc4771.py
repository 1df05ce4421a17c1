#!/usr/bin/env python3
"""Known answers for rollover counters in packets, by a model of RFC 4771 written from its text: writes rfc4771.json beside itself.

Needs the package `cryptography`. Nothing here knows anything of Keyflip. Modes: RCCm1 and RCCm2 with HMAC-SHA1, whose tag of 80 bits is
ROC || 48 bits of MAC in a packet that carries it; RCCm3 is the ROC where the tag would be, without an HMAC, or behind an AEAD and the MKI (RFC 7714).
"""

import hashlib
import hmac
import json
import pathlib
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": ("cm", 16, 14),
    "AES_256_CM_HMAC_SHA1_80": ("cm", 32, 14),
    "NULL_HMAC_SHA1_80": ("null", 16, 14),
    "AEAD_AES_128_GCM": ("gcm", 16, 12),
    "AEAD_AES_256_GCM": ("gcm", 32, 12),
}


def octets(name, length):
    out, count = b"", 0
    while len(out) < length:
        out += hashlib.sha256(f"{name}/{count}".encode()).digest()
        count += 1
    return out[:length]


def counter_mode(key, block, length):
    return Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(16, "big"))).encryptor().update(b"\0" * length)


def derive(key, salt, label, length):
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ (label << 48)
    return counter_mode(key, x << 16, length)


def protect(profile, master_key, master_salt, packet, roc, mki, mode, rate):
    kind, key_len, salt_len = PROFILES[profile]
    ssrc, seq = struct.unpack(">I", packet[8:12])[0], struct.unpack(">H", packet[2:4])[0]
    session_key, session_salt = derive(master_key, master_salt, 0, key_len), derive(master_key, master_salt, 2, salt_len)
    header, payload = packet[:12], packet[12:]
    carries, counter = seq % rate == 0, struct.pack(">I", roc)
    if kind == "gcm":
        assert mode == 3
        nonce = b"\0\0" + packet[8:12] + counter + packet[2:4]
        nonce = bytes(a ^ b for a, b in zip(nonce, session_salt))
        sealed = AESGCM(session_key).encrypt(nonce, payload, header)
        return header + sealed + mki + (counter if carries else b"")
    if kind == "cm":
        iv = int.from_bytes(session_salt, "big") << 16 ^ ssrc << 64 ^ (roc << 16 | seq) << 16
        payload = bytes(a ^ b for a, b in zip(payload, counter_mode(session_key, iv, len(payload))))
    mac = hmac.new(derive(master_key, master_salt, 1, 20), header + payload + counter, hashlib.sha1).digest()
    if mode == 3:
        tag = counter if carries else b""
    elif carries:
        tag = counter + mac[:6]
    else:
        tag = mac[:10] if mode == 2 else b""
    return header + payload + mki + tag


def main():
    vectors = []
    for profile, (kind, key_len, salt_len) in PROFILES.items():
        for mode in [3] if kind == "gcm" else [1, 2, 3]:
            for rate in [1, 2, 10, 65535]:
                for mki in [b"", b"\x01\x02\x03"]:
                    case = f"{profile} RCCm{mode} every {rate} MKI {mki.hex()}"
                    key, salt = octets(case + " key", key_len), octets(case + " salt", salt_len)
                    roc = struct.unpack(">I", octets(case + " roc", 4))[0] & 0xFFFFFF
                    packets = []
                    for seq in [0, 1, 2, 10, 11, 20]:
                        head = struct.pack(">BBHII", 0x80, 96, seq, 160 * seq, 0xCAFEBABE)
                        packet = head + octets(f"{case} {seq}", seq * 3)
                        sealed = protect(profile, key, salt, packet, roc, mki, mode, rate)
                        packets.append({"plaintext": packet.hex(), "protected": sealed.hex()})
                    vectors.append(
                        {"id": case, "profile": profile, "mode": mode, "rate": rate, "mki": mki.hex(), "roc": roc}
                        | {"key": key.hex(), "salt": salt.hex(), "packets": packets}
                    )
    with open(pathlib.Path(__file__).with_suffix(".json"), "w") as file:
        head = json.dumps({"title": "RFC 4771: SRTP packets that carry their rollover counter; by rfc4771.py", "format_version": 1})[:-1]
        file.write(head + ', "vectors": [\n' + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]}\n")


main()
