/* Threads protect and unprotect while others update, add and remove streams, end sessions, and call on ended ones. C11.
 *
 * The stock library does not promise any of this: there it crashes. */
#include <srtp2/srtp.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { READERS = 3, ROUNDS = 600, SSRC = 0x01020304 };

static _Atomic srtp_t sender, receiver;
static atomic_bool stop;
static atomic_ulong good, refused, gone, odd;

static srtp_t make(srtp_ssrc_type_t type, unsigned char octet)
{
    unsigned char key[30];
    memset(key, octet, sizeof key);
    srtp_policy_t policy;
    memset(&policy, 0, sizeof policy);
    srtp_crypto_policy_set_rtp_default(&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.ssrc.type = type;
    policy.key = key;
    srtp_t session = NULL;
    srtp_create(&session, &policy);
    return session;
}

static void count(int status)
{
    switch (status) {
    case srtp_err_status_ok: atomic_fetch_add(&good, 1); break;
    case srtp_err_status_bad_param: atomic_fetch_add(&gone, 1); break;
    /* Both ends are not updated at once, and sequence numbers begin again with a session. */
    case srtp_err_status_auth_fail:
    case srtp_err_status_replay_fail:
    case srtp_err_status_replay_old: atomic_fetch_add(&refused, 1); break;
    default: atomic_fetch_add(&odd, 1); printf("status %d\n", status); break;
    }
}

static void *reader(void *argument)
{
    unsigned char lane = (unsigned char)(uintptr_t)argument;
    for (unsigned n = 0; !atomic_load(&stop); n++) {
        _Alignas(8) unsigned char packet[400] = {0x80, 0, (unsigned char)(n >> 8), (unsigned char)n, 0, 0, 0, 0, 1, 2, 3, lane};
        int len = 172, status = srtp_protect(atomic_load(&sender), packet, &len);
        count(status);
        if (status == srtp_err_status_ok) {
            count(srtp_unprotect(atomic_load(&receiver), packet, &len));
        }
    }
    return NULL;
}

static int update(srtp_t session, srtp_ssrc_type_t type, unsigned char octet)
{
    unsigned char key[30];
    memset(key, octet, sizeof key);
    srtp_policy_t policy;
    memset(&policy, 0, sizeof policy);
    srtp_crypto_policy_set_rtp_default(&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.ssrc.type = type;
    policy.key = key;
    return srtp_update(session, &policy);
}

int main(void)
{
    pthread_t threads[READERS];
    srtp_init();
    atomic_store(&sender, make(ssrc_any_outbound, 1));
    atomic_store(&receiver, make(ssrc_any_inbound, 1));
    for (uintptr_t i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, reader, (void *)(i + 1));
    }
    int failed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char octet = (unsigned char)(2 + round % 200);
        failed |= update(atomic_load(&receiver), ssrc_any_inbound, octet);
        failed |= update(atomic_load(&sender), ssrc_any_outbound, octet);
        srtp_remove_stream(atomic_load(&receiver), htonl(SSRC - 4 + 1 + (unsigned)round % 3));
        if (round % 8 == 7) {
            srtp_t old = atomic_load(&sender), older = atomic_load(&receiver);
            failed |= srtp_dealloc(old) | srtp_dealloc(older);
            failed |= srtp_dealloc(old) != srtp_err_status_bad_param;
            atomic_store(&sender, make(ssrc_any_outbound, octet));
            atomic_store(&receiver, make(ssrc_any_inbound, octet));
        }
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    failed |= srtp_dealloc(atomic_load(&sender)) | srtp_dealloc(atomic_load(&receiver));
    printf("%lu good, %lu refused, %lu on ended sessions, %lu odd\n", atomic_load(&good), atomic_load(&refused),
           atomic_load(&gone), atomic_load(&odd));
    return failed != 0 || atomic_load(&odd) != 0 || atomic_load(&good) == 0;
}
