/* One packet there and back, and what a program trips over. C99. */
#include <keyflip.h>

#include <stdio.h>
#include <string.h>

static int failures;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++; \
        } \
    } while (0)

int main(void)
{
    uint8_t octets[30] = {1}, packet[200] = {0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}, copy[200];
    keyflip_key key = {.key = octets, .key_len = sizeof octets};
    keyflip_session_config config = {.size = sizeof config,
                                     .profile = KEYFLIP_PROFILE_AES128_CM_SHA1_80,
                                     .inbound = &key,
                                     .inbound_count = 1,
                                     .outbound = &key};
    keyflip_session session = 0;
    memcpy(copy, packet, sizeof packet);

    CHECK(keyflip_session_new(&config, &session) == KEYFLIP_OK);
    CHECK(keyflip_overhead(session, KEYFLIP_PROTOCOL_RTP) == 10);
    CHECK(keyflip_protect_rtp(session, packet, 172, sizeof packet) == 182);
    CHECK(memcmp(packet + 12, copy + 12, 160) != 0);
    CHECK(keyflip_unprotect_rtp(session, packet, 182) == 172);
    CHECK(memcmp(packet, copy, 172) == 0);
    CHECK(keyflip_unprotect_rtp(session, packet, 182) == KEYFLIP_ERR_REPLAYED);
    CHECK(keyflip_protect_rtp(session, packet, 172, sizeof packet) == KEYFLIP_ERR_INDEX_REUSED);
    CHECK(keyflip_protect_rtp(session, NULL, 172, sizeof packet) == KEYFLIP_ERR_NULL_POINTER);
    CHECK(keyflip_protect_rtp(session, packet, 172, 171) == KEYFLIP_ERR_LENGTH_EXCEEDS_BUFFER);
    CHECK(strcmp(keyflip_error_name(KEYFLIP_ERR_REPLAYED), "KEYFLIP_ERR_REPLAYED") == 0);
    CHECK(keyflip_error_fault(KEYFLIP_ERR_REPLAYED) == KEYFLIP_FAULT_PEER);

    /* A structure that forgets its size, and one from the future. */
    config.size = 0;
    CHECK(keyflip_session_new(&config, &session) == KEYFLIP_ERR_BAD_SIZE);
    struct {
        keyflip_session_config known;
        uint64_t unknown;
    } newer = {.known = config, .unknown = 0};
    newer.known.size = sizeof newer;
    keyflip_session other = 0;
    CHECK(keyflip_session_new(&newer.known, &other) == KEYFLIP_OK);
    newer.unknown = 1;
    CHECK(keyflip_session_new(&newer.known, &session) == KEYFLIP_ERR_UNKNOWN_FIELDS);

    CHECK(keyflip_session_free(other) == KEYFLIP_OK);
    CHECK(keyflip_session_free(session) == KEYFLIP_OK);
    CHECK(keyflip_session_free(session) == KEYFLIP_ERR_BAD_HANDLE);
    CHECK(keyflip_unprotect_rtp(session, packet, 182) == KEYFLIP_ERR_BAD_HANDLE);
    CHECK(keyflip_synchronize(KEYFLIP_DEFAULT_DOMAIN, 10000, NULL, 0, NULL) == KEYFLIP_OK);
    printf("%s %s\n", keyflip_version(), keyflip_kernels());
    return failures != 0;
}
