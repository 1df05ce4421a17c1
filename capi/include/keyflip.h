/* keyflip.h: SRTP and SRTCP with keys that can be replaced while packets fly.
 *
 * Made by cbindgen from capi/src; change it there.
 *
 * RULES THAT HOLD FOR ALL CALLS
 *
 * Results. Functions that return int32_t return a negative number, one of enum keyflip_err, where they were refused: nothing has
 * changed then. KEYFLIP_OK is 0; calls on packets return the octets of the packet that they made.
 *
 * Threads. Any function may be called from any thread at any time, also while others rekey or free the same session. Nothing has to
 * be registered or initialized. Calls on packets take no lock and wait for nobody.
 *
 * Handles. Domains and sessions are numbers. One that is stale, was freed twice, is of the wrong kind or is made up is
 * KEYFLIP_ERR_BAD_HANDLE, never a crash. 0 is no session.
 *
 * Pointers. Null where something is needed, misaligned, a length above the capacity, buffers that overlap: errors. That so many
 * octets are there as a length says, and that nobody else changes them during the call, cannot be seen; it is the caller's duty.
 * Lengths are in octets.
 *
 * Structures with a field named size: set it to sizeof the structure before the call. So programs that were built with another version of this
 * header still fit.
 *
 * Signals and fork. No function may be called from a signal handler. After a fork the child may go on with its sessions; but parent and child
 * must not both send under one key.
 *
 * Nothing unwinds or panics into the caller: a defect is KEYFLIP_ERR_INTERNAL.
 */

#ifndef KEYFLIP_H
#define KEYFLIP_H

#include <stddef.h>
#include <stdint.h>


// The call did what it was asked to.
#define KEYFLIP_OK 0

// Major version of this header: it changes when a program has to.
#define KEYFLIP_VERSION_MAJOR 0

// Minor version of this header: it changes when something is added.
#define KEYFLIP_VERSION_MINOR 1

// Patch version of this header.
#define KEYFLIP_VERSION_PATCH 0

// The domain that every process has, made on first use. It cannot be freed.
#define KEYFLIP_DEFAULT_DOMAIN 0

// Without a thread of its own: the program calls keyflip_reclaim from a loop.
#define KEYFLIP_DOMAIN_WITHOUT_RECLAIMER 1

// SRTP payloads stay in the clear, both ways (UNENCRYPTED_SRTP, RFC 4568 6.3.2). They are authenticated still.
#define KEYFLIP_SESSION_UNENCRYPTED_SRTP 1

// SRTCP is sent unencrypted and accepted either way (UNENCRYPTED_SRTCP, RFC 4568 6.3.2). It is authenticated still.
#define KEYFLIP_SESSION_UNENCRYPTED_SRTCP 2

// Packets of SSRCs that keyflip_stream_add has not announced are refused.
#define KEYFLIP_SESSION_STREAMS_BY_CALL 4

// Replaced receiving keys are refused at once.
#define KEYFLIP_SESSION_NO_GRACE 8

// The keystream of encrypted header extensions does not go on over padding, as in libsrtp.
#define KEYFLIP_SESSION_LIBSRTP_HEADER_KEYSTREAM 16

// An index may be protected again: for retransmission of packets that are identical, octet for octet. The caller vouches for that: two different packets under
// one index give away their payloads and, under AES-GCM, the key of authentication.
#define KEYFLIP_SESSION_DANGEROUSLY_ALLOW_IDENTICAL_RETRANSMISSION 32

// Inbound: the keys before this one, those in grace included, are refused from here on. For keys that are known to others.
#define KEYFLIP_REKEY_NO_GRACE 1

// What keyflip_rekey returns where nothing has changed.
#define KEYFLIP_REKEY_UNCHANGED 1

// Why a call was refused. Functions return these numbers as int32_t, all of them negative. A call that is refused has changed nothing.
//
// Hundreds say whose fault it is, as keyflip_error_fault does. A later version may return numbers that are not listed here: treat any negative number
// as an error. No number ever changes its meaning.
enum keyflip_err
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Packet is shorter than its header and trailer.
  KEYFLIP_ERR_PACKET_TOO_SHORT = -101,
  // Packet is longer than one keystream segment.
  KEYFLIP_ERR_PACKET_TOO_LONG = -102,
  // Version is not 2.
  KEYFLIP_ERR_UNSUPPORTED_VERSION = -103,
  // CSRC list reaches past the end of the packet.
  KEYFLIP_ERR_CSRC_OVERRUN = -104,
  // Header extension reaches past the end of the packet.
  KEYFLIP_ERR_EXTENSION_OVERRUN = -105,
  // Element of the header extension reaches past its end.
  KEYFLIP_ERR_ELEMENT_OVERRUN = -106,
  // Packet is refused for a reason this interface has no number for.
  KEYFLIP_ERR_OTHER_PACKET = -199,
  // Authentication tag does not verify.
  KEYFLIP_ERR_AUTHENTICATION_FAILED = -201,
  // Packet index was accepted before.
  KEYFLIP_ERR_REPLAYED = -202,
  // Packet index is left of the replay window.
  KEYFLIP_ERR_TOO_OLD = -203,
  // MKI names no key of this context.
  KEYFLIP_ERR_UNKNOWN_MKI = -204,
  // SRTCP packet is not encrypted.
  KEYFLIP_ERR_UNENCRYPTED_SRTCP = -205,
  // Header is not encrypted by Cryptex.
  KEYFLIP_ERR_HEADER_IN_THE_CLEAR = -206,
  // SSRC has no stream, and streams are not added by themselves here.
  KEYFLIP_ERR_UNKNOWN_SSRC = -207,
  // Inner authentication tag does not verify.
  KEYFLIP_ERR_INNER_AUTHENTICATION_FAILED = -208,
  // Original header block is malformed.
  KEYFLIP_ERR_BAD_HEADER_BLOCK = -209,
  // Peer sent what this interface has no number for.
  KEYFLIP_ERR_OTHER_PEER = -299,
  // Context has no master key.
  KEYFLIP_ERR_NO_KEY = -301,
  // Master key reached the end of its lifetime.
  KEYFLIP_ERR_KEY_EXPIRED = -302,
  // SRTCP index would wrap under the key that used it up.
  KEYFLIP_ERR_SRTCP_INDEX_EXHAUSTED = -303,
  // Key cannot be used, for a reason this interface has no number for.
  KEYFLIP_ERR_OTHER_KEY = -399,
  // Output buffer has no room for the result.
  KEYFLIP_ERR_OUTPUT_TOO_SMALL = -401,
  // Header is shorter or longer than its fields say.
  KEYFLIP_ERR_HEADER_MISMATCH = -402,
  // Prefix is longer than the payload.
  KEYFLIP_ERR_PREFIX_TOO_LONG = -403,
  // Stated length exceeds the buffer.
  KEYFLIP_ERR_LENGTH_EXCEEDS_BUFFER = -404,
  // Packet index was sent before.
  KEYFLIP_ERR_INDEX_REUSED = -405,
  // Packet index is too far behind the highest one sent.
  KEYFLIP_ERR_INDEX_TOO_OLD = -406,
  // Master key has the wrong length for the profile.
  KEYFLIP_ERR_WRONG_KEY_LENGTH = -407,
  // Master salt has the wrong length for the profile.
  KEYFLIP_ERR_WRONG_SALT_LENGTH = -408,
  // Master key and salt together have the wrong length for the profile.
  KEYFLIP_ERR_WRONG_KEY_AND_SALT_LENGTH = -409,
  // MKI is longer than 128 octets.
  KEYFLIP_ERR_MKI_TOO_LONG = -410,
  // MKI length differs from that of the other keys of this context.
  KEYFLIP_ERR_MKI_LENGTH_MISMATCH = -411,
  // MKI is taken by another key of this context.
  KEYFLIP_ERR_DUPLICATE_MKI = -412,
  // Context holds as many keys as it can.
  KEYFLIP_ERR_TOO_MANY_KEYS = -413,
  // No such key in this context.
  KEYFLIP_ERR_UNKNOWN_KEY = -414,
  // No key is staged.
  KEYFLIP_ERR_NO_STAGED_KEY = -415,
  // A key that was used before cannot begin an index space.
  KEYFLIP_ERR_KEY_USED_BEFORE = -416,
  // Context has had too many keys to tell whether this one is fresh.
  KEYFLIP_ERR_KEY_HISTORY_FULL = -417,
  // A sender cannot probe for its rollover counter.
  KEYFLIP_ERR_CANNOT_PROBE = -418,
  // The current key is replaced by a rekey, not retired.
  KEYFLIP_ERR_KEY_IS_CURRENT = -419,
  // Stream table is full.
  KEYFLIP_ERR_TOO_MANY_STREAMS = -420,
  // SSRC has a stream already.
  KEYFLIP_ERR_STREAM_EXISTS = -421,
  // SSRC has no stream.
  KEYFLIP_ERR_NO_SUCH_STREAM = -422,
  // Rollover counter or index cannot go back.
  KEYFLIP_ERR_INDEX_BACKWARD = -423,
  // Replay window must be 64 to 32768 packets.
  KEYFLIP_ERR_BAD_REPLAY_WINDOW = -424,
  // Key lifetime must be at least 1 and at most 2^48 SRTP and 2^31 SRTCP packets.
  KEYFLIP_ERR_BAD_KEY_LIFETIME = -425,
  // Too many retired values wait for readers to unpin.
  KEYFLIP_ERR_TOO_MANY_RETIRED = -426,
  // Grace must be 15 keys at most.
  KEYFLIP_ERR_BAD_GRACE = -427,
  // Header extension ids to encrypt must be 1 to 255.
  KEYFLIP_ERR_BAD_EXTENSION_ID = -428,
  // Headers can be encrypted in profiles with a cipher only, and by Cryptex with payloads only.
  KEYFLIP_ERR_NO_HEADER_CIPHER = -429,
  // Header extensions are encrypted either by elements or by Cryptex, not both.
  KEYFLIP_ERR_TWO_HEADER_CIPHERS = -430,
  // Header extension is of a form that Cryptex cannot carry.
  KEYFLIP_ERR_UNKNOWN_EXTENSION_FORM = -431,
  // Stream bound must be 1 to 2^24.
  KEYFLIP_ERR_BAD_STREAM_BOUND = -432,
  // SSRC has keys of its own already.
  KEYFLIP_ERR_SSRC_HAS_KEYS = -433,
  // SSRC has no keys of its own.
  KEYFLIP_ERR_NO_KEYS_FOR_SSRC = -434,
  // Session cannot be a layer of double encryption.
  KEYFLIP_ERR_BAD_LAYER = -435,
  // Rollover counters are carried by every packet whose sequence number is a multiple of 1 to 65535.
  KEYFLIP_ERR_BAD_ROC_RATE = -436,
  // Packets of this profile cannot carry their rollover counter so.
  KEYFLIP_ERR_NO_ROC_MODE = -437,
  // Context was moved elsewhere.
  KEYFLIP_ERR_MOVED = -438,
  // Context was not built to be moved.
  KEYFLIP_ERR_NOT_MOVABLE = -439,
  // Moved context is of another profile, or has other rules for packets.
  KEYFLIP_ERR_MOVED_DIFFERS = -440,
  // Payload type must be at most 127.
  KEYFLIP_ERR_BAD_PAYLOAD_TYPE = -441,
  // Call is refused for a reason this interface has no number for.
  KEYFLIP_ERR_OTHER_CALLER = -499,
  // A defect of Keyflip: the call was stopped before it could do harm.
  KEYFLIP_ERR_INTERNAL = -500,
  // Handle names nothing, nothing any more, or something of another kind.
  KEYFLIP_ERR_BAD_HANDLE = -501,
  // Pointer is null where it must not be.
  KEYFLIP_ERR_NULL_POINTER = -502,
  // Pointer is not aligned for what it points to.
  KEYFLIP_ERR_MISALIGNED = -503,
  // Length or count is larger than memory can hold.
  KEYFLIP_ERR_BAD_LENGTH = -504,
  // Buffers overlap that must lie apart.
  KEYFLIP_ERR_OVERLAP = -505,
  // Number is none of those that the argument can have.
  KEYFLIP_ERR_BAD_ARGUMENT = -506,
  // Flag is not known to this version of the library.
  KEYFLIP_ERR_BAD_FLAGS = -507,
  // Size field of a structure is wrong: set it to sizeof the structure.
  KEYFLIP_ERR_BAD_SIZE = -508,
  // Structure is from a newer header and sets fields that this library does not know.
  KEYFLIP_ERR_UNKNOWN_FIELDS = -509,
  // No more handles are to be had.
  KEYFLIP_ERR_TOO_MANY_HANDLES = -510,
  // Domain has an event handler already.
  KEYFLIP_ERR_HANDLER_SET = -511,
  // Readers did not let go within the time given.
  KEYFLIP_ERR_STALLED = -512,
  // Call cannot wait: the calling thread is inside another call.
  KEYFLIP_ERR_CALLER_PINNED = -513,
  // No such protection profile.
  KEYFLIP_ERR_UNKNOWN_PROFILE = -514,
  // Text is not UTF-8.
  KEYFLIP_ERR_BAD_TEXT = -515,
  // Packet was not processed.
  KEYFLIP_ERR_NOT_PROCESSED = -516,
  // Keying material has the wrong length for the profile.
  KEYFLIP_ERR_WRONG_MATERIAL_LENGTH = -517,
  // Not a crypto attribute.
  KEYFLIP_ERR_SDES_NOT_CRYPTO = -601,
  // Crypto attribute has characters that are not visible ASCII.
  KEYFLIP_ERR_SDES_BAD_CHARACTER = -602,
  // Crypto attribute ends before its keys.
  KEYFLIP_ERR_SDES_INCOMPLETE = -603,
  // Crypto attribute has a bad tag.
  KEYFLIP_ERR_SDES_BAD_TAG = -604,
  // Crypto suite is not supported.
  KEYFLIP_ERR_SDES_UNSUPPORTED_SUITE = -605,
  // Key method is not supported.
  KEYFLIP_ERR_SDES_UNSUPPORTED_KEY_METHOD = -606,
  // Inline key is malformed.
  KEYFLIP_ERR_SDES_BAD_KEY = -607,
  // Inline key and salt have the wrong length for the suite.
  KEYFLIP_ERR_SDES_WRONG_KEY_LENGTH = -608,
  // Lifetime of an inline key is bad.
  KEYFLIP_ERR_SDES_BAD_LIFETIME = -609,
  // MKI of an inline key is bad.
  KEYFLIP_ERR_SDES_BAD_MKI = -610,
  // There are several keys, and one has no MKI.
  KEYFLIP_ERR_SDES_MKI_MISSING = -611,
  // Keys have MKIs of different lengths.
  KEYFLIP_ERR_SDES_MKI_LENGTH_MISMATCH = -612,
  // Two keys have the same MKI.
  KEYFLIP_ERR_SDES_DUPLICATE_MKI = -613,
  // More than 16 keys.
  KEYFLIP_ERR_SDES_TOO_MANY_KEYS = -614,
  // Session parameter is not supported.
  KEYFLIP_ERR_SDES_UNSUPPORTED_PARAMETER = -615,
  // Session parameter is malformed.
  KEYFLIP_ERR_SDES_BAD_PARAMETER = -616,
  // Session parameter is repeated.
  KEYFLIP_ERR_SDES_REPEATED_PARAMETER = -617,
  // No crypto attribute of the offer is acceptable.
  KEYFLIP_ERR_SDES_NOTHING_ACCEPTABLE = -618,
  // Two crypto attributes have the same tag.
  KEYFLIP_ERR_SDES_DUPLICATE_TAG = -619,
  // Answer has a tag that was not offered.
  KEYFLIP_ERR_SDES_UNKNOWN_TAG = -620,
  // Answer has another crypto suite than the offer with its tag.
  KEYFLIP_ERR_SDES_SUITE_MISMATCH = -621,
  // Offer and answer differ in what is to be encrypted.
  KEYFLIP_ERR_SDES_ENCRYPTION_MISMATCH = -622,
  // Crypto attribute is refused for a reason this interface has no number for.
  KEYFLIP_ERR_SDES_OTHER = -699,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_err keyflip_err;
#else
typedef int32_t keyflip_err;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Whose fault an error is: who has to act.
enum keyflip_fault
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // No error.
  KEYFLIP_FAULT_NONE = 0,
  // The octets are not a packet of this protocol. Drop it.
  KEYFLIP_FAULT_PACKET = 1,
  // A well-formed packet that must not be accepted: a replay, a forgery, a peer with other keys. Drop it.
  KEYFLIP_FAULT_PEER = 2,
  // A key is missing or at the end of its lifetime: rekey.
  KEYFLIP_FAULT_KEY = 3,
  // The call is wrong: a mistake in this program or its configuration.
  KEYFLIP_FAULT_CALLER = 4,
  // A defect of the library.
  KEYFLIP_FAULT_INTERNAL = 5,
  // What signalling handed over is malformed or not supported.
  KEYFLIP_FAULT_SIGNALLING = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_fault keyflip_fault;
#else
typedef uint32_t keyflip_fault;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a datagram is, on a port that several protocols share.
enum keyflip_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // None of the others.
  KEYFLIP_KIND_UNKNOWN = 0,
  // SRTP or RTP.
  KEYFLIP_KIND_RTP = 1,
  // SRTCP or RTCP.
  KEYFLIP_KIND_RTCP = 2,
  // STUN.
  KEYFLIP_KIND_STUN = 3,
  // ZRTP.
  KEYFLIP_KIND_ZRTP = 4,
  // DTLS.
  KEYFLIP_KIND_DTLS = 5,
  // A TURN channel.
  KEYFLIP_KIND_TURN_CHANNEL = 6,
  // QUIC.
  KEYFLIP_KIND_QUIC = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_kind keyflip_kind;
#else
typedef uint32_t keyflip_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What protects the packets of a session. Numbers are never reused.
enum keyflip_profile
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // AES_CM_128_HMAC_SHA1_80: what every implementation has (RFC 3711, 4568).
  KEYFLIP_PROFILE_AES128_CM_SHA1_80 = 1,
  // AES_CM_128_HMAC_SHA1_32: the SRTCP tag has 80 bits still (RFC 4568).
  KEYFLIP_PROFILE_AES128_CM_SHA1_32 = 2,
  // AES_192_CM_HMAC_SHA1_80 (RFC 6188).
  KEYFLIP_PROFILE_AES192_CM_SHA1_80 = 3,
  // AES_192_CM_HMAC_SHA1_32 (RFC 6188).
  KEYFLIP_PROFILE_AES192_CM_SHA1_32 = 4,
  // AES_256_CM_HMAC_SHA1_80 (RFC 6188).
  KEYFLIP_PROFILE_AES256_CM_SHA1_80 = 5,
  // AES_256_CM_HMAC_SHA1_32 (RFC 6188).
  KEYFLIP_PROFILE_AES256_CM_SHA1_32 = 6,
  // AEAD_AES_128_GCM (RFC 7714).
  KEYFLIP_PROFILE_AEAD_AES128_GCM = 7,
  // AEAD_AES_256_GCM (RFC 7714).
  KEYFLIP_PROFILE_AEAD_AES256_GCM = 8,
  // AEAD_AES_128_GCM with tags of 8 octets, as libsrtp has it. Nothing can negotiate it.
  KEYFLIP_PROFILE_AEAD_AES128_GCM8 = 9,
  // AEAD_AES_256_GCM with tags of 8 octets, as libsrtp has it. Nothing can negotiate it.
  KEYFLIP_PROFILE_AEAD_AES256_GCM8 = 10,
  // NULL_HMAC_SHA1_80: authenticated, not encrypted (RFC 5764).
  KEYFLIP_PROFILE_NULL_SHA1_80 = 11,
  // NULL_HMAC_SHA1_32: authenticated, not encrypted (RFC 5764).
  KEYFLIP_PROFILE_NULL_SHA1_32 = 12,
  // Neither encrypted nor authenticated: anybody can forge packets.
  KEYFLIP_PROFILE_NULL_WITHOUT_AUTHENTICATION = 13,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_profile keyflip_profile;
#else
typedef uint32_t keyflip_profile;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A direction of a session. Each has keys and streams of its own.
enum keyflip_direction
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // What the peer sends, and we unprotect.
  KEYFLIP_DIRECTION_INBOUND = 1,
  // What we protect and send.
  KEYFLIP_DIRECTION_OUTBOUND = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_direction keyflip_direction;
#else
typedef uint32_t keyflip_direction;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What becomes of rollover counters, SRTCP indices and replay lists at a rekey.
enum keyflip_roc
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // In keyflip_rekey_options: what the session was told when it was made. When it is made: KEYFLIP_ROC_KEEP.
  KEYFLIP_ROC_DEFAULT = 0,
  // They go on, as RFC 3711 3.3.1 asks.
  KEYFLIP_ROC_KEEP = 1,
  // They begin afresh, at 0, as with peers that follow RFC 4568 7.1.4 or make a new context for each key.
  KEYFLIP_ROC_RESET = 2,
  // Inbound only: the first SRTP packet of each SSRC under the new key says what its sender does.
  KEYFLIP_ROC_PROBE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_roc keyflip_roc;
#else
typedef uint32_t keyflip_roc;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a key is to its session.
enum keyflip_key_role
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Outbound: protects. Inbound: tried first.
  KEYFLIP_KEY_ROLE_CURRENT = 1,
  // Replaced; packets in flight under it are accepted still.
  KEYFLIP_KEY_ROLE_IN_GRACE = 2,
  // Added beside the current key.
  KEYFLIP_KEY_ROLE_ADDED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_key_role keyflip_key_role;
#else
typedef uint32_t keyflip_key_role;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an event is about.
enum keyflip_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A key has passed its soft limit: rekey before its lifetime ends. Once for each key and protocol. Raised without being asked for.
  KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT = 1,
  // A packet carried an MKI of no key: the peer may have rekeyed, or it is forged. Once until keyflip_acknowledge_events.
  KEYFLIP_EVENT_KIND_UNKNOWN_MKI = 2,
  // A packet of an SSRC was refused that has no stream or no key. Once until keyflip_acknowledge_events.
  KEYFLIP_EVENT_KIND_UNKNOWN_SSRC = 3,
  // A good packet was refused since the stream table is full. Once until keyflip_acknowledge_events.
  KEYFLIP_EVENT_KIND_TOO_MANY_STREAMS = 4,
  // A stream was added by its first packet.
  KEYFLIP_EVENT_KIND_STREAM_ADDED = 5,
  // A key has left its session, which is there still.
  KEYFLIP_EVENT_KIND_KEY_RETIRED = 6,
  // A retired key is wiped from memory; its session is there still.
  KEYFLIP_EVENT_KIND_KEY_WIPED = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_event_kind keyflip_event_kind;
#else
typedef uint32_t keyflip_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What RTP headers Cryptex (RFC 9335) is used for.
enum keyflip_cryptex
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // For none.
  KEYFLIP_CRYPTEX_OFF = 0,
  // Sent for all packets with CSRCs or a header extension; packets are taken with it and without.
  KEYFLIP_CRYPTEX_ENABLED = 1,
  // As KEYFLIP_CRYPTEX_ENABLED, and packets with CSRCs or a header extension are refused without it.
  KEYFLIP_CRYPTEX_REQUIRED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_cryptex keyflip_cryptex;
#else
typedef uint32_t keyflip_cryptex;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The two protocols of a session.
enum keyflip_protocol
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // RTP and SRTP.
  KEYFLIP_PROTOCOL_RTP = 1,
  // RTCP and SRTCP.
  KEYFLIP_PROTOCOL_RTCP = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_protocol keyflip_protocol;
#else
typedef uint32_t keyflip_protocol;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which end of a DTLS association this is.
enum keyflip_dtls_role
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The one that sent the ClientHello: a=setup:active (RFC 5763 5).
  KEYFLIP_DTLS_ROLE_CLIENT = 1,
  // The one that answered it.
  KEYFLIP_DTLS_ROLE_SERVER = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum keyflip_dtls_role keyflip_dtls_role;
#else
typedef uint32_t keyflip_dtls_role;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How much memory the keys of this process lie in, in octets.
typedef struct keyflip_key_memory {
  // sizeof(keyflip_key_memory): set it before the call.
  size_t size;
  // Octets that hold keys now.
  uint64_t used;
  // Octets set aside for keys.
  uint64_t total;
  // Of the total, octets that are locked: kept from swap space. Fewer than the total if RLIMIT_MEMLOCK is too low.
  uint64_t locked;
  // Of the total, octets that core dumps leave out.
  uint64_t undumped;
} keyflip_key_memory;

// Lengths of a profile, in octets.
typedef struct keyflip_profile_info {
  // sizeof(keyflip_profile_info): set it before the call.
  size_t size;
  // Octets of the master key.
  size_t key_len;
  // Octets of the master salt.
  size_t salt_len;
  // Octets of the authentication tag of SRTP packets.
  size_t srtp_tag_len;
  // Octets of the authentication tag of SRTCP packets. Not always that of SRTP.
  size_t srtcp_tag_len;
} keyflip_profile_info;

// Names a domain. A number, never a pointer: one that names nothing is an error.
typedef uint64_t keyflip_domain;

// A thread that is inside a call.
typedef struct keyflip_reader {
  // Its name or, where it has none, its number in the process; cut to fit, zero-terminated.
  char thread[64];
  // How long it has been inside at least, in microseconds.
  uint64_t pinned_us;
} keyflip_reader;

// What became of the keys of a domain. Once no call is in progress, keys_created is the number of those that sessions hold, and of keys_retired.
typedef struct keyflip_domain_stats {
  // sizeof(keyflip_domain_stats): set it before the call.
  size_t size;
  // Keys derived.
  uint64_t keys_created;
  // Keys that were replaced, retired, or went with their session.
  uint64_t keys_retired;
  // Keys wiped from memory.
  uint64_t keys_wiped;
  // Values of any kind that wait until no thread can see them any more.
  uint64_t items_waiting;
  // Within so many microseconds half of what was retired was destroyed; at most twice the truth.
  uint64_t wipe_latency_median_us;
  // Within so many microseconds 99 of 100 were.
  uint64_t wipe_latency_p99_us;
  // Events lost, since nobody took those before them.
  uint64_t events_missed;
} keyflip_domain_stats;

// Something that the owner of a session should know of.
typedef struct keyflip_event {
  // sizeof(keyflip_event): set it before keyflip_next_event.
  size_t size;
  // One of enum keyflip_event_kind. Later versions may have more: leave alone what you do not know.
  uint32_t kind;
  // One of enum keyflip_direction.
  uint32_t direction;
  // Whose it is.
  uint64_t session;
  // The key's name; 0 if the event is about none.
  uint64_t key_id;
  // One of enum keyflip_protocol: which of the key's lifetimes, or the packet's; 0 if the event is about neither.
  uint32_t protocol;
  // The SSRC that the packet or the stream has, in host order; 0 if the event is about none.
  uint32_t ssrc;
  // KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT: packets that were left then, less those that streams had set aside.
  uint64_t packets_left;
} keyflip_event;

// Is called with an event, and with the pointer that was given to keyflip_on_event.
typedef void (*keyflip_event_handler)(const struct keyflip_event *event, void *user);

// A master key. The library copies what it needs, into memory that it locks and wipes; the octets here stay the caller's, to be wiped when they are not
// needed any more (keyflip_wipe).
typedef struct keyflip_key {
  // The master key; if salt is NULL, the master key and behind it the master salt, as SDES has them.
  const uint8_t *key;
  // Octets at key.
  size_t key_len;
  // The master salt, or NULL.
  const uint8_t *salt;
  // Octets at salt; 0 if that is NULL.
  size_t salt_len;
  // The MKI (RFC 3711 3.1), or NULL. All keys of a direction have MKIs of one length, or none.
  const uint8_t *mki;
  // Octets at mki: 0 to 128.
  size_t mki_len;
  // The most SRTP packets, and the most SRTCP packets, under this key: 1 to 2^48; 0 for what the session allows.
  uint64_t lifetime;
} keyflip_key;

// What a session is to be. Zero in any field means what is usual, so set what you need and leave the rest zero:
// keyflip_session_config config = {.size = sizeof config, .profile = KEYFLIP_PROFILE_AES128_CM_SHA1_80, ...}.
typedef struct keyflip_session_config {
  // sizeof(keyflip_session_config).
  size_t size;
  // Whose it is; 0 is KEYFLIP_DEFAULT_DOMAIN.
  keyflip_domain domain;
  // One of enum keyflip_profile. There is no default.
  uint32_t profile;
  // KEYFLIP_SESSION_... added up.
  uint32_t flags;
  // Receiving keys: the first is the current one, others are added beside it. NULL for none: all packets are refused until a rekey.
  const struct keyflip_key *inbound;
  // How many keys there are at inbound: 0 to 16.
  size_t inbound_count;
  // The sending key. NULL for none: all packets are refused until a rekey.
  const struct keyflip_key *outbound;
  // The SRTP replay window, in packets: 64 to 32768; 0 for 1024. Outbound, it bounds how far out of order packets may be given.
  uint32_t replay_window;
  // The SRTCP replay window, in packets: 64 to 32768; 0 for 128.
  uint32_t srtcp_replay_window;
  // Streams each direction holds at most, removed ones included: 1 to 2^24; 0 for 4096. A full table refuses, and never evicts.
  size_t max_streams;
  // One of enum keyflip_roc, for receiving keys.
  uint32_t inbound_roc_on_rekey;
  // KEYFLIP_ROC_DEFAULT, KEYFLIP_ROC_KEEP or KEYFLIP_ROC_RESET, for sending keys.
  uint32_t outbound_roc_on_rekey;
  // How many replaced receiving keys are accepted for packets in flight: 1 to 15; 0 for 2. None with KEYFLIP_SESSION_NO_GRACE.
  uint32_t grace_keys;
  // Ends the grace for a stream after so many packets of it under the new key, up to 65535; 0 for never.
  uint32_t grace_packets;
  // Ends the grace of a key so many milliseconds after it was replaced; 0 for never.
  uint64_t grace_ms;
  // SRTP packets a key may protect: up to 2^48; 0 for that (RFC 3711 9.2).
  uint64_t srtp_lifetime;
  // SRTCP packets a key may protect: up to 2^31; 0 for that (RFC 3711 9.2).
  uint64_t srtcp_lifetime;
  // Raises KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT when no more SRTP packets than these are left; 0 for never.
  uint64_t srtp_soft_limit;
  // Raises KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT when no more SRTCP packets than these are left; 0 for never.
  uint64_t srtcp_soft_limit;
  // Ids of header extension elements that are encrypted (RFC 6904), or NULL.
  const uint8_t *encrypted_header_ids;
  // How many ids there are.
  size_t encrypted_header_count;
  // One of enum keyflip_cryptex. Not together with encrypted_header_ids.
  uint32_t cryptex;
  // 0.
  uint32_t reserved;
} keyflip_session_config;

// Names a session: both directions with one peer. A number, never a pointer: one that names nothing (any more) is an error.
typedef uint64_t keyflip_session;

// How a key is replaced. All zero (but for size) is the same as a null pointer.
typedef struct keyflip_rekey_options {
  // sizeof(keyflip_rekey_options).
  size_t size;
  // One of enum keyflip_roc.
  uint32_t roc;
  // KEYFLIP_REKEY_NO_GRACE or 0.
  uint32_t flags;
} keyflip_rekey_options;

// A key of a session. Nothing secret is in it.
typedef struct keyflip_key_info {
  // Names it within its direction. Never 0, never reused.
  uint64_t id;
  // One of enum keyflip_key_role.
  uint32_t role;
  // Octets of its MKI.
  uint32_t mki_len;
  // Its MKI.
  uint8_t mki[128];
  // SRTP packets that it may still protect, less those that streams have set aside.
  uint64_t srtp_packets_left;
  // SRTCP packets that it may still protect, less those that streams have set aside.
  uint64_t srtcp_packets_left;
} keyflip_key_info;

// One protocol of a stream.
typedef struct keyflip_track {
  // One above the highest index accepted or sent; 0 before the first packet. SRTCP counts on past 2^31.
  uint64_t next_index;
  // Packets accepted or sent.
  uint64_t packets;
  // Packets refused after the stream was found.
  uint64_t refused;
} keyflip_track;

// A stream of a session.
typedef struct keyflip_stream_info {
  // Its SSRC, in host order.
  uint32_t ssrc;
  // Its rollover counter.
  uint32_t roc;
  // Its SRTP packets.
  struct keyflip_track rtp;
  // Its SRTCP packets.
  struct keyflip_track rtcp;
  // It has been idle for so many milliseconds at least: as finely as this is asked.
  uint64_t idle_ms;
} keyflip_stream_info;

// Packets that a direction refused, by reason.
typedef struct keyflip_refused {
  // sizeof(keyflip_refused): set it before the call.
  size_t size;
  // Not a packet of this protocol.
  uint64_t malformed;
  // No key verified the tag.
  uint64_t authentication_failed;
  // The MKI named no key.
  uint64_t unknown_mki;
  // The SSRC had no stream and got none.
  uint64_t unknown_ssrc;
  // Replayed, or left of the window.
  uint64_t replayed;
  // No key, or one at the end of its lifetime.
  uint64_t no_key;
  // Refused for another reason.
  uint64_t other;
} keyflip_refused;

// A packet of a batch.
typedef struct keyflip_packet {
  // Whose it is.
  keyflip_session session;
  // The packet. It is changed in place.
  uint8_t *data;
  // Octets of the packet; after the call, if status is KEYFLIP_OK, of what became of it.
  size_t len;
  // Octets of the buffer at data: for a packet to be protected, room for keyflip_overhead octets behind it; for one to be unprotected, len or more.
  size_t capacity;
  // One of enum keyflip_protocol.
  uint32_t protocol;
  // After the call: KEYFLIP_OK or an error, as the call for one packet returns it; the packet is untouched then.
  int32_t status;
} keyflip_packet;

// One receiver of a payload.
typedef struct keyflip_target {
  // By whose sending key.
  keyflip_session session;
  // A whole RTP header, CSRCs and header extension included. Many targets may share one.
  const uint8_t *header;
  // Octets of the header.
  size_t header_len;
  // Octets that take the place of as many at the beginning of the payload, for payload descriptors of this target's own; or NULL.
  const uint8_t *prefix;
  // Octets at prefix.
  size_t prefix_len;
  // Where the SRTP packet goes.
  uint8_t *output;
  // Room at output: header_len, the payload's length, and keyflip_overhead octets.
  size_t capacity;
  // After the call, if status is KEYFLIP_OK: octets of the SRTP packet.
  size_t len;
  // After the call: KEYFLIP_OK or an error, as keyflip_protect_rtp returns it; KEYFLIP_ERR_HEADER_MISMATCH, KEYFLIP_ERR_PREFIX_TOO_LONG, KEYFLIP_ERR_OVERLAP.
  int32_t status;
  // 0.
  uint32_t reserved;
} keyflip_target;

// What a crypto attribute says, but for its keys.
typedef struct keyflip_sdes_info {
  // sizeof(keyflip_sdes_info): set it before the call.
  size_t size;
  // Its tag.
  uint32_t tag;
  // One of enum keyflip_profile.
  uint32_t profile;
  // KEYFLIP_SESSION_UNENCRYPTED_SRTP and KEYFLIP_SESSION_UNENCRYPTED_SRTCP, as far as it says so.
  uint32_t flags;
  // How many keys it has.
  uint32_t keys;
} keyflip_sdes_info;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library in use, for example "0.1.0". The text is constant and needs no freeing.
const char *keyflip_version(void);

// The set of machine instructions in use: "portable", "avx2", "sha-ni", "avx512vl" or "avx512". The environment variable KEYFLIP_KERNELS forces one; it is
// read once. The text is constant and needs no freeing.
const char *keyflip_kernels(void);

// The name of an error, for logs: "KEYFLIP_ERR_REPLAYED" and so on; "KEYFLIP_OK" for 0; "KEYFLIP_ERR_UNKNOWN" for a number that is none. The text is
// constant and needs no freeing.
const char *keyflip_error_name(int32_t code);

// What an error means, in English, without a full stop. The text is constant and needs no freeing.
const char *keyflip_error_text(int32_t code);

// Whose fault an error is: one of enum keyflip_fault. A number that is no error, such as a length, has KEYFLIP_FAULT_NONE.
uint32_t keyflip_error_fault(int32_t code);

// Tells SRTP and SRTCP from what else may come to the same port (RFC 5761, 7983, 9443), by the first octets; nothing is verified.
//
// Returns one of enum keyflip_kind, or an error. No lock, no allocation.
int32_t keyflip_classify(const uint8_t *datagram,
                         size_t len);

// Reports the memory that keys lie in. Returns KEYFLIP_OK or an error.
int32_t keyflip_key_memory_now(struct keyflip_key_memory *memory);

// The lengths of a profile, one of enum keyflip_profile.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_UNKNOWN_PROFILE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE.
int32_t keyflip_profile_lengths(uint32_t profile, struct keyflip_profile_info *info);

// The registered name of a profile, such as "AES_CM_128_HMAC_SHA1_80"; NULL if there is no such profile. The text is constant and needs no freeing.
const char *keyflip_profile_name(uint32_t profile);

// The profile of a name, as SDES has it (RFC 4568 6.2, 6188, 7714). Names are compared octet for octet.
//
// Returns one of enum keyflip_profile; KEYFLIP_ERR_UNKNOWN_PROFILE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_TEXT.
int32_t keyflip_profile_of_name(const char *name);

// Makes a domain. Replaced keys of its sessions are wiped independently of those of others. Most programs need none: the default domain is there.
//
// flags is 0 or KEYFLIP_DOMAIN_WITHOUT_RECLAIMER. backlog is the number of retired values, of some three kilobytes each, beyond which a rekey is refused
// while a thread is stuck inside a call; 0 for 4096; it cannot be given with the flag.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_FLAGS, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_TOO_MANY_HANDLES. Any thread.
int32_t keyflip_domain_new(uint32_t flags,
                           uint64_t backlog,
                           keyflip_domain *domain);

// Frees a domain's handle. Sessions made in it go on; the domain goes with the last of them.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE if it was freed before, never was, or is the default domain. Any thread, and while others use it.
int32_t keyflip_domain_free(keyflip_domain domain);

// Waits until all keys that were replaced, or went with their session, before the call are wiped. It helps with the work, and holds up nobody.
//
// If it cannot within within_ms milliseconds, readers, which has room for capacity of them, tells which threads are inside calls, the likeliest cause
// being the one that has been so for longest, and count how many they are. readers and count may be NULL.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_STALLED; KEYFLIP_ERR_BAD_HANDLE. Not for threads that handle packets.
int32_t keyflip_synchronize(keyflip_domain domain,
                            uint64_t within_ms,
                            struct keyflip_reader *readers,
                            size_t capacity,
                            size_t *count);

// Wipes what can be wiped now, and does what is due (the end of a grace, events for a handler): for the loop of a program whose domain has no thread of
// its own.
//
// left, which may be NULL, receives how many values still wait. Returns KEYFLIP_OK or KEYFLIP_ERR_BAD_HANDLE.
int32_t keyflip_reclaim(keyflip_domain domain,
                        uint64_t *left);

// Reports what became of a domain's keys.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE.
int32_t keyflip_domain_counters(keyflip_domain domain, struct keyflip_domain_stats *stats);

// Has events of a kind raised in a domain from here on, besides KEYFLIP_EVENT_KIND_KEY_NEAR_LIMIT. kind is one of enum keyflip_event_kind.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT. Any thread.
int32_t keyflip_watch_events(keyflip_domain domain,
                             uint32_t kind);

// Lets a direction of a session raise those events again that it raises once: a flood of packets is one event.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT. Any thread.
int32_t keyflip_acknowledge_events(uint64_t session,
                                   uint32_t direction);

// Takes the oldest event of a domain that nobody has taken yet. Up to 256 wait; more are counted as missed.
//
// Returns 1 if there was one, 0 if not; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE. Any thread, no lock on the way of packets.
int32_t keyflip_next_event(keyflip_domain domain,
                           struct keyflip_event *event);

// Has handler called with every event of a domain from here on, instead of leaving them to keyflip_next_event. A domain has one handler, for good; handler and
// user must stay good until the process ends.
//
// It is called on a thread of the library (in a domain without reclaimer, on the one that calls keyflip_reclaim), never on one that handles packets, with no lock
// held. It may call anything in here, keyflip_rekey and keyflip_session_free included. While it runs, no keys are wiped. It must return: no longjmp, no
// C++ exception.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_HANDLER_SET, KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER.
int32_t keyflip_on_event(keyflip_domain domain,
                         keyflip_event_handler handler,
                         void *user);

// Makes a session, and writes its handle to session.
//
// The library copies what it needs of config: nothing it points to has to stay. It must be freed by keyflip_session_free.
//
// Returns KEYFLIP_OK. Errors: KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE, KEYFLIP_ERR_UNKNOWN_FIELDS, KEYFLIP_ERR_BAD_FLAGS, KEYFLIP_ERR_BAD_ARGUMENT;
// KEYFLIP_ERR_BAD_HANDLE for the domain; KEYFLIP_ERR_UNKNOWN_PROFILE; KEYFLIP_ERR_BAD_REPLAY_WINDOW, KEYFLIP_ERR_BAD_STREAM_BOUND, KEYFLIP_ERR_BAD_GRACE,
// KEYFLIP_ERR_BAD_KEY_LIFETIME, KEYFLIP_ERR_CANNOT_PROBE, KEYFLIP_ERR_BAD_EXTENSION_ID, KEYFLIP_ERR_NO_HEADER_CIPHER, KEYFLIP_ERR_TWO_HEADER_CIPHERS; what
// keyflip_rekey and keyflip_add_key say of keys; KEYFLIP_ERR_TOO_MANY_HANDLES.
//
// Any thread. Some microseconds for each key.
int32_t keyflip_session_new(const struct keyflip_session_config *config,
                            keyflip_session *session);

// Frees a session. Calls that other threads are inside of end as if it were still there; later ones return KEYFLIP_ERR_BAD_HANDLE. Its keys are wiped as soon
// as the last thread has left it.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE if it was freed before, or never was. Any thread; does not wait.
int32_t keyflip_session_free(keyflip_session session);

// Replaces the key of a direction, at once and for all its streams, by one swap of a pointer. No call on a packet waits, fails or loses its packet,
// on any thread; the other direction is not touched.
//
// Inbound, packets in flight under the key before are accepted still, until the session's grace ends. Outbound, the key before is wiped as soon as
// no thread uses it.
//
// options may be NULL. key_id, if it is not NULL, receives the key's name.
//
// Returns KEYFLIP_OK; KEYFLIP_REKEY_UNCHANGED (1) if the session holds this very master key already, so that nothing has changed, and a call that was
// refused may be made again. Errors: KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT; KEYFLIP_ERR_WRONG_KEY_LENGTH and its kin; KEYFLIP_ERR_MKI_LENGTH_MISMATCH,
// KEYFLIP_ERR_DUPLICATE_MKI; KEYFLIP_ERR_CANNOT_PROBE; KEYFLIP_ERR_KEY_USED_BEFORE if counters were to begin afresh under a key that was in use before;
// KEYFLIP_ERR_TOO_MANY_RETIRED while a thread that is stuck inside a call holds up the wiping of many keys. The key in use stays then.
//
// Any thread. Takes a lock that no call on packets takes; derives keys, some microseconds.
int32_t keyflip_rekey(keyflip_session session,
                      uint32_t direction,
                      const struct keyflip_key *key,
                      const struct keyflip_rekey_options *options,
                      uint64_t *key_id);

// Derives a sending key now, to become the current one by keyflip_activate_staged_key without the cost of derivation: for a switch that both ends time. It
// takes the place of a key staged before.
//
// Returns as keyflip_rekey; KEYFLIP_REKEY_UNCHANGED says that the session holds this master key already, and that nothing was staged.
int32_t keyflip_stage_key(keyflip_session session,
                          const struct keyflip_key *key,
                          uint64_t *key_id);

// Makes the staged key the one that packets are protected under. options may be NULL; key_id, too.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_NO_STAGED_KEY; as keyflip_rekey. Any thread; one swap of a pointer.
int32_t keyflip_activate_staged_key(keyflip_session session,
                                    const struct keyflip_rekey_options *options,
                                    uint64_t *key_id);

// Adds a key beside the current one, up to 16 in all. Inbound, packets under it are accepted: it is found by its MKI or, without MKIs, tried last. Outbound, it
// waits to be chosen by keyflip_use_key.
//
// key_id, which may be NULL, receives its name. Returns KEYFLIP_OK; KEYFLIP_ERR_TOO_MANY_KEYS; as keyflip_rekey.
int32_t keyflip_add_key(keyflip_session session,
                        uint32_t direction,
                        const struct keyflip_key *key,
                        uint64_t *key_id);

// Makes an added key the current one. Outbound, the key before stays, to be chosen again; inbound, it is in grace.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_UNKNOWN_KEY; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_TOO_MANY_RETIRED.
int32_t keyflip_use_key(keyflip_session session,
                        uint32_t direction,
                        uint64_t key_id);

// Takes away a key that was added, or inbound one that is in grace. It is wiped as soon as no thread uses it.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_UNKNOWN_KEY, KEYFLIP_ERR_KEY_IS_CURRENT; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
int32_t keyflip_retire_key(keyflip_session session,
                           uint32_t direction,
                           uint64_t key_id);

// Ends the grace of all replaced receiving keys: what is still in flight under them is refused from here on. They are wiped as soon as no thread uses
// them; keyflip_synchronize waits for that.
//
// Returns KEYFLIP_OK or KEYFLIP_ERR_BAD_HANDLE.
int32_t keyflip_end_grace(keyflip_session session);

// Overwrites octets with zeros, in a way that no compiler leaves out: for keys that a program held itself.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_NULL_POINTER if octets is NULL and len is not 0.
int32_t keyflip_wipe(uint8_t *octets,
                     size_t len);

// Lists the keys of a direction, the current one first. A staged key is not among them.
//
// keys has room for capacity of them, and count receives how many there are, 16 at most: more than capacity if some had no room. keys may be NULL if
// capacity is 0.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER.
int32_t keyflip_keys(keyflip_session session,
                     uint32_t direction,
                     struct keyflip_key_info *keys,
                     size_t capacity,
                     size_t *count);

// Announces a stream, to start at rollover counter roc and, outbound, at SRTCP index srtcp_index (of 31 bits; inbound, give 0). Streams appear by
// themselves at their first packet, so this is for late joiners that were told a counter, and for sessions with KEYFLIP_SESSION_STREAMS_BY_CALL.
//
// ssrc is in host order. Returns KEYFLIP_OK; KEYFLIP_ERR_STREAM_EXISTS, KEYFLIP_ERR_TOO_MANY_STREAMS; KEYFLIP_ERR_INDEX_BACKWARD below what an earlier life of
// the stream reached; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
int32_t keyflip_stream_add(keyflip_session session,
                           uint32_t direction,
                           uint32_t ssrc,
                           uint32_t roc,
                           uint32_t srtcp_index);

// Removes a stream. Indices up to its highest stay refused. Where streams appear by themselves, a later packet brings it back, above them.
//
// ssrc is in host order. Returns KEYFLIP_OK; KEYFLIP_ERR_NO_SUCH_STREAM, KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
int32_t keyflip_stream_remove(keyflip_session session,
                              uint32_t direction,
                              uint32_t ssrc);

// Writes the rollover counter of a stream to roc. ssrc is in host order.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_NO_SUCH_STREAM, KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER.
int32_t keyflip_stream_roc(keyflip_session session,
                           uint32_t direction,
                           uint32_t ssrc,
                           uint32_t *roc);

// Moves a stream on to rollover counter roc: for one that has missed a wrap. ssrc is in host order.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_INDEX_BACKWARD below the counter in use; KEYFLIP_ERR_NO_SUCH_STREAM, KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
int32_t keyflip_stream_set_roc(keyflip_session session,
                               uint32_t direction,
                               uint32_t ssrc,
                               uint32_t roc);

// Lists the streams of a direction, in no order.
//
// streams has room for capacity of them, and count receives how many there are: more than capacity if some had no room. streams may be NULL if capacity
// is 0.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER. Allocates; holds up nobody.
int32_t keyflip_streams(keyflip_session session,
                        uint32_t direction,
                        struct keyflip_stream_info *streams,
                        size_t capacity,
                        size_t *count);

// Reports how many packets a direction has refused so far. They cost no memory and no lock.
//
// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE.
int32_t keyflip_refused_counters(keyflip_session session,
                                 uint32_t direction,
                                 struct keyflip_refused *refused);

// Protects an RTP packet in place (RFC 3711 3.3): encrypts its payload and puts MKI and tag behind it.
//
// packet is the RTP packet, of len octets, in a buffer of capacity octets; behind the packet there must be room for keyflip_overhead octets, and nothing is
// written beyond them.
//
// Returns the length of the SRTP packet. Errors: KEYFLIP_ERR_OUTPUT_TOO_SMALL, KEYFLIP_ERR_LENGTH_EXCEEDS_BUFFER; KEYFLIP_ERR_INDEX_REUSED for a sequence number
// that was sent before; KEYFLIP_ERR_INDEX_TOO_OLD for one too far behind; KEYFLIP_ERR_NO_KEY, KEYFLIP_ERR_KEY_EXPIRED: rekey; any of KEYFLIP_FAULT_PACKET;
// KEYFLIP_ERR_TOO_MANY_STREAMS, KEYFLIP_ERR_UNKNOWN_SSRC; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_LENGTH. The buffer is untouched
// then.
//
// Any thread, any number at once, while others rekey or free the session. No lock; allocates at a stream's first packet only.
int32_t keyflip_protect_rtp(keyflip_session session,
                            uint8_t *packet,
                            size_t len,
                            size_t capacity);

// Protects an RTCP packet in place (RFC 3711 3.4): encrypts it behind its first 8 octets, and puts index, MKI and tag behind it.
//
// As keyflip_protect_rtp. The SRTCP index is given out here; KEYFLIP_ERR_SRTCP_INDEX_EXHAUSTED when the key has used up the last: rekey.
int32_t keyflip_protect_rtcp(keyflip_session session,
                             uint8_t *packet,
                             size_t len,
                             size_t capacity);

// Unprotects an SRTP packet of len octets in place (RFC 3711 3.3): verifies its tag, and decrypts its payload.
//
// Returns the length of the RTP packet, which begins where the SRTP packet did. Errors: KEYFLIP_ERR_AUTHENTICATION_FAILED, KEYFLIP_ERR_REPLAYED,
// KEYFLIP_ERR_TOO_OLD and others of KEYFLIP_FAULT_PEER: drop the packet; any of KEYFLIP_FAULT_PACKET and KEYFLIP_FAULT_KEY; KEYFLIP_ERR_TOO_MANY_STREAMS;
// KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_LENGTH. The packet is untouched then, and no state has changed but counters.
//
// Any thread, any number at once, while others rekey or free the session. No lock; allocates at a stream's first good packet only.
int32_t keyflip_unprotect_rtp(keyflip_session session,
                              uint8_t *packet,
                              size_t len);

// Unprotects an SRTCP packet of len octets in place (RFC 3711 3.4). As keyflip_unprotect_rtp; KEYFLIP_ERR_UNENCRYPTED_SRTCP if it is not encrypted and
// the session does not allow that.
int32_t keyflip_unprotect_rtcp(keyflip_session session,
                               uint8_t *packet,
                               size_t len);

// keyflip_protect_rtp from one buffer to another, of at least len and keyflip_overhead octets. They must lie apart: KEYFLIP_ERR_OVERLAP.
int32_t keyflip_protect_rtp_to(keyflip_session session,
                               const uint8_t *packet,
                               size_t len,
                               uint8_t *output,
                               size_t capacity);

// keyflip_protect_rtcp from one buffer to another, as keyflip_protect_rtp_to.
int32_t keyflip_protect_rtcp_to(keyflip_session session,
                                const uint8_t *packet,
                                size_t len,
                                uint8_t *output,
                                size_t capacity);

// keyflip_unprotect_rtp from one buffer to another, of at least the plain packet's length: len is always enough. They must lie apart: KEYFLIP_ERR_OVERLAP.
int32_t keyflip_unprotect_rtp_to(keyflip_session session,
                                 const uint8_t *packet,
                                 size_t len,
                                 uint8_t *output,
                                 size_t capacity);

// keyflip_unprotect_rtcp from one buffer to another, as keyflip_unprotect_rtp_to.
int32_t keyflip_unprotect_rtcp_to(keyflip_session session,
                                  const uint8_t *packet,
                                  size_t len,
                                  uint8_t *output,
                                  size_t capacity);

// By how many octets protection makes a packet of a protocol (one of enum keyflip_protocol) longer at most: tag and MKI, index for RTCP, 4 more with
// Cryptex. It changes with the length of MKIs only.
//
// Returns octets; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
int32_t keyflip_overhead(keyflip_session session,
                         uint32_t protocol);

// Unprotects packets of any sessions, streams, profiles and lengths, as recvmmsg or GRO deliver them, each in place.
//
// It is as if keyflip_unprotect_rtp or keyflip_unprotect_rtcp were called for one after the other, and quicker, best with 16 packets or more. Each packet's
// status says what became of it; one that is refused harms no other. Of packets whose buffers overlap, each is refused with KEYFLIP_ERR_OVERLAP if they are
// among the same 64 of the call, counted from the first.
//
// Returns how many were accepted; KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_MISALIGNED, KEYFLIP_ERR_BAD_LENGTH. Any thread. No lock, no allocation.
int32_t keyflip_unprotect_batch(struct keyflip_packet *packets,
                                size_t count);

// Protects packets of any sessions, streams, profiles and lengths, each in place. As keyflip_unprotect_batch.
int32_t keyflip_protect_batch(struct keyflip_packet *packets,
                              size_t count);

// Protects one RTP payload for many targets, each packet written straight from the payload, which is not copied: what an SFU does.
//
// It is as if a packet were made of each target's header and the payload, and given to keyflip_protect_rtp. A target that fails harms no other; its output is
// untouched. An output must overlap neither the payload nor a header, prefix or output of the same 64 targets, counted from the first: KEYFLIP_ERR_OVERLAP.
//
// Returns how many packets were made; KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_MISALIGNED, KEYFLIP_ERR_BAD_LENGTH. Any thread. Best with 16 targets or more.
// No lock, no allocation.
int32_t keyflip_fanout(const uint8_t *payload,
                       size_t payload_len,
                       struct keyflip_target *targets,
                       size_t count);

// The profile of a number that DTLS negotiated (the registry "DTLS-SRTP Protection Profiles").
//
// Returns one of enum keyflip_profile, or KEYFLIP_ERR_UNKNOWN_PROFILE.
int32_t keyflip_dtls_profile(uint16_t id);

// What DTLS calls a profile. Returns its number; KEYFLIP_ERR_UNKNOWN_PROFILE if DTLS has none for it.
int32_t keyflip_dtls_profile_id(uint32_t profile);

// Octets of keying material to export for a profile under the label "EXTRACTOR-dtls_srtp" (RFC 5764 4.2). Export exactly so many.
//
// Returns octets, or KEYFLIP_ERR_UNKNOWN_PROFILE.
int32_t keyflip_dtls_material_len(uint32_t profile);

// Splits exported keying material into the keys of both directions (RFC 5764 4.2), for keyflip_session_new or keyflip_rekey.
//
// The keys point into material, which must stay until they are used; wipe it then. They have no MKI: if use_srtp settled one, set mki and mki_len.
//
// role is one of enum keyflip_dtls_role. Returns KEYFLIP_OK; KEYFLIP_ERR_UNKNOWN_PROFILE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER,
// KEYFLIP_ERR_WRONG_MATERIAL_LENGTH.
int32_t keyflip_dtls_keys(uint32_t profile,
                          uint32_t role,
                          const uint8_t *material,
                          size_t len,
                          struct keyflip_key *inbound,
                          struct keyflip_key *outbound);

// Reads a crypto attribute ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:..."), to see whether it is acceptable. line is zero-terminated.
//
// Returns KEYFLIP_OK; any of KEYFLIP_ERR_SDES_...; KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_TEXT, KEYFLIP_ERR_BAD_SIZE.
int32_t keyflip_sdes_read(const char *line,
                          struct keyflip_sdes_info *info);

// Writes a crypto attribute with one key, to be offered or, with the tag and the profile of an offer, to answer it. The key's octets must come from a
// cryptographic random number generator. It has key || salt at key, and no salt apart.
//
// line has room for capacity octets; a zero ends what is written. Returns the octets before that; KEYFLIP_ERR_OUTPUT_TOO_SMALL (256 are always enough without an
// MKI); KEYFLIP_ERR_UNKNOWN_PROFILE, any of KEYFLIP_ERR_SDES_..., KEYFLIP_ERR_NULL_POINTER.
int32_t keyflip_sdes_write(uint32_t tag,
                           uint32_t profile,
                           const struct keyflip_key *key,
                           char *line,
                           size_t capacity);

// Makes a session of two crypto attributes: ours, whose key protects, and theirs, whose keys unprotect. One is the offer, the other the answer to it; they agree in
// tag, suite and what is encrypted.
//
// config may be NULL; its profile, inbound, inbound_count and outbound are to be 0. Returns as keyflip_session_new; any of KEYFLIP_ERR_SDES_...
int32_t keyflip_sdes_session(const char *ours,
                             const char *theirs,
                             const struct keyflip_session_config *config,
                             keyflip_session *session);

// Replaces the key of a direction by the first key of a crypto attribute, as keyflip_rekey does with what the session was told of counters.
//
// The attribute's profile must be the session's: KEYFLIP_ERR_WRONG_KEY_AND_SALT_LENGTH is all that can be seen of another. Returns as keyflip_rekey; any of
// KEYFLIP_ERR_SDES_...
int32_t keyflip_sdes_rekey(keyflip_session session,
                           uint32_t direction,
                           const char *line);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KEYFLIP_H */
