/* Threads protect and unprotect while others rekey, free, and call on dead handles. C11. */
#include <keyflip.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 4, ROUNDS = 400, READERS = 3 };

static _Atomic keyflip_session sessions[SESSIONS];
static atomic_bool stop;
static atomic_ulong good, dead, other;

static keyflip_session make(uint8_t octet)
{
    uint8_t octets[30];
    memset(octets, octet, sizeof octets);
    keyflip_key key = {.key = octets, .key_len = sizeof octets};
    keyflip_session_config config = {.size = sizeof config,
                                     .profile = KEYFLIP_PROFILE_AEAD_AES128_GCM,
                                     .inbound = &key,
                                     .inbound_count = 1,
                                     .outbound = &key,
                                     .grace_keys = 15};
    key.key_len = 28;
    keyflip_session session = 0;
    if (keyflip_session_new(&config, &session) != KEYFLIP_OK) {
        puts("keyflip_session_new");
        exit(1);
    }
    return session;
}

static void *reader(void *argument)
{
    uint32_t ssrc = (uint32_t)(uintptr_t)argument;
    for (uint32_t n = 0; !atomic_load(&stop); n++) {
        uint8_t packet[200] = {0x80, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, 0, 0, 0, 0, (uint8_t)ssrc};
        keyflip_session session = atomic_load(&sessions[n % SESSIONS]);
        int32_t len = keyflip_protect_rtp(session, packet, 172, sizeof packet);
        if (len > 0) {
            len = keyflip_unprotect_rtp(session, packet, (size_t)len);
        }
        if (len == 172) {
            atomic_fetch_add(&good, 1);
        } else if (len == KEYFLIP_ERR_BAD_HANDLE) {
            atomic_fetch_add(&dead, 1);
        } else {
            printf("%s\n", keyflip_error_name(len));
            atomic_fetch_add(&other, 1);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[READERS];
    for (int i = 0; i < SESSIONS; i++) {
        atomic_store(&sessions[i], make((uint8_t)i));
    }
    for (uintptr_t i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, reader, (void *)(i + 1));
    }
    for (int round = 0; round < ROUNDS; round++) {
        keyflip_session session = atomic_load(&sessions[round % SESSIONS]);
        uint8_t octets[28];
        memset(octets, 100 + round % 100, sizeof octets);
        keyflip_key key = {.key = octets, .key_len = sizeof octets};
        /* Receiving first: what the sending key protects is always accepted. */
        if (keyflip_rekey(session, KEYFLIP_DIRECTION_INBOUND, &key, NULL, NULL) < 0 ||
            keyflip_rekey(session, KEYFLIP_DIRECTION_OUTBOUND, &key, NULL, NULL) < 0) {
            puts("keyflip_rekey");
            return 1;
        }
        if (round % 5 == 4) {
            if (keyflip_session_free(session) != KEYFLIP_OK) {
                puts("keyflip_session_free");
                return 1;
            }
            sched_yield();
            atomic_store(&sessions[round % SESSIONS], make((uint8_t)round));
        }
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < SESSIONS; i++) {
        keyflip_session_free(atomic_load(&sessions[i]));
    }
    if (keyflip_synchronize(KEYFLIP_DEFAULT_DOMAIN, 10000, NULL, 0, NULL) != KEYFLIP_OK) {
        puts("keyflip_synchronize");
        return 1;
    }
    keyflip_domain_stats stats = {.size = sizeof stats};
    keyflip_domain_counters(KEYFLIP_DEFAULT_DOMAIN, &stats);
    printf("%lu good, %lu on dead handles, %lu other; %llu keys made, %llu wiped\n", atomic_load(&good), atomic_load(&dead),
           atomic_load(&other), (unsigned long long)stats.keys_created, (unsigned long long)stats.keys_wiped);
    return atomic_load(&other) != 0 || atomic_load(&good) == 0 || stats.keys_created != stats.keys_wiped;
}
