/* Asks a libsrtp2 many questions, and prints its answers: to be compared between two libraries. C99. */
#include <srtp2/srtp.h>

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void setter(srtp_crypto_policy_t *);

enum { ROOM = 400, SSRC = 0x01020304, OTHER = 0x0a0b0c0d };

static unsigned char key_a[64], key_b[64];
static int collisions;

static void on_event(srtp_event_data_t *data)
{
    collisions += data->event == event_ssrc_collision;
}

static srtp_policy_t policy(setter *rtp, setter *rtcp, srtp_ssrc_type_t type, unsigned ssrc, unsigned char *key)
{
    srtp_policy_t made;
    memset(&made, 0, sizeof made);
    rtp(&made.rtp);
    rtcp(&made.rtcp);
    made.ssrc.type = type;
    made.ssrc.value = ssrc;
    made.key = key;
    return made;
}

static srtp_t create(const srtp_policy_t *policy)
{
    srtp_t session = NULL;
    int status = srtp_create(&session, policy);
    if (status != 0 || session == NULL) {
        printf("create: %d, %s\n", status, session == NULL ? "null" : "a session");
    }
    return session;
}

static int rtp(unsigned char *packet, unsigned ssrc, unsigned seq)
{
    static const unsigned char extended[] = {0x90, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xbe, 0xde, 0, 1, 0x12, 7, 8, 9};
    memset(packet, 0, ROOM);
    memcpy(packet, extended, sizeof extended);
    packet[2] = (unsigned char)(seq >> 8);
    packet[3] = (unsigned char)seq;
    for (int i = 0; i < 4; i++) {
        packet[8 + i] = (unsigned char)(ssrc >> (24 - 8 * i));
    }
    for (unsigned i = sizeof extended; i < 100; i++) {
        packet[i] = (unsigned char)(i * seq);
    }
    return 100;
}

static int rtcp(unsigned char *packet, unsigned ssrc)
{
    memset(packet, 0, ROOM);
    packet[0] = 0x80;
    packet[1] = 201;
    packet[3] = 15;
    for (int i = 0; i < 4; i++) {
        packet[4 + i] = (unsigned char)(ssrc >> (24 - 8 * i));
    }
    return 64;
}

/* A status, a length, and what the octets add up to. */
static void say(const char *what, int status, const unsigned char *packet, int len)
{
    unsigned long sum = 5381;
    for (int i = 0; i < len; i++) {
        sum = sum * 33 + packet[i];
    }
    printf("%s: %d, %d octets, %08lx\n", what, status, len, sum & 0xffffffff);
}

static int sends(srtp_t session, unsigned ssrc, unsigned seq, unsigned char *packet, const char *what)
{
    int len = rtp(packet, ssrc, seq), status = srtp_protect(session, packet, &len);
    if (status == 0) {
        say(what, status, packet, len);
    } else {
        printf("%s: %d\n", what, status);
    }
    return len;
}

static void receives(srtp_t session, const unsigned char *packet, int len, const char *what)
{
    unsigned char copy[ROOM];
    memcpy(copy, packet, ROOM);
    int status = srtp_unprotect(session, copy, &len);
    if (status == 0) {
        say(what, status, copy, len);
    } else {
        printf("%s: %d\n", what, status);
    }
}

static void suite(const char *name, setter *for_rtp, setter *for_rtcp)
{
    unsigned char packet[ROOM];
    uint32_t length = 0;
    printf("---- %s\n", name);
    srtp_policy_t out = policy(for_rtp, for_rtcp, ssrc_any_outbound, 0, key_a);
    srtp_policy_t in = policy(for_rtp, for_rtcp, ssrc_any_inbound, 0, key_a);
    srtp_t tx = create(&out), rx = create(&in);
    if (tx == NULL || rx == NULL) {
        return;
    }
    printf("trailer: %d", srtp_get_protect_trailer_length(tx, 0, 0, &length));
    printf(" %u", length);
    printf(", rtcp: %d", srtp_get_protect_rtcp_trailer_length(tx, 0, 0, &length));
    printf(" %u\n", length);
    for (unsigned seq = 65534; seq < 65538; seq++) {
        int len = sends(tx, SSRC, seq & 0xffff, packet, "sent");
        receives(rx, packet, len, "received");
        receives(rx, packet, len, "again");
        packet[len - 1] ^= 1;
        receives(rx, packet, len, "forged");
    }
    uint32_t roc = 9;
    printf("roc: %d", srtp_get_stream_roc(tx, SSRC, &roc));
    printf(" %u", roc);
    printf(", %d", srtp_get_stream_roc(rx, SSRC, &roc));
    printf(" %u\n", roc);
    for (int i = 0; i < 2; i++) {
        int len = rtcp(packet, SSRC), status = srtp_protect_rtcp(tx, packet, &len);
        say("rtcp sent", status, packet, len);
        status = srtp_unprotect_rtcp(rx, packet, &len);
        say("rtcp received", status, packet, len);
    }
    printf("dealloc: %d %d\n", srtp_dealloc(tx), srtp_dealloc(rx));
}

static void streams(void)
{
    unsigned char packet[ROOM];
    setter *set = srtp_crypto_policy_set_rtp_default;
    printf("---- streams\n");
    srtp_policy_t one = policy(set, set, ssrc_specific, SSRC, key_a), two = policy(set, set, ssrc_specific, OTHER, key_b);
    one.next = &two;
    srtp_t tx = create(&one), rx = create(&one);
    receives(rx, packet, sends(tx, SSRC, 1, packet, "one"), "one");
    receives(rx, packet, sends(tx, OTHER, 1, packet, "two"), "two");
    sends(tx, 7, 1, packet, "unknown");
    receives(rx, packet, 110, "two again");
    printf("remove: %d", srtp_remove_stream(rx, htonl(SSRC)));
    printf(" %d\n", srtp_remove_stream(rx, htonl(SSRC)));
    receives(rx, packet, sends(tx, SSRC, 2, packet, "one"), "removed");
    one.next = NULL;
    printf("add: %d\n", srtp_add_stream(rx, &one));
    receives(rx, packet, sends(tx, SSRC, 3, packet, "one"), "added");
    receives(rx, packet, 110, "added, again");
    printf("add once more: %d\n", srtp_add_stream(rx, &one));
    receives(rx, packet, 110, "added once more");

    /* An update keeps counters. */
    for (unsigned seq = 20000; seq <= 60000; seq += 20000) {
        receives(rx, packet, sends(tx, SSRC, seq, packet, "on the way"), "on the way");
    }
    receives(rx, packet, sends(tx, SSRC, 5, packet, "wrapped"), "wrapped");
    one.key = key_b;
    printf("update: %d", srtp_update(tx, &one));
    printf(" %d\n", srtp_update_stream(rx, &one));
    receives(rx, packet, sends(tx, SSRC, 6, packet, "updated"), "updated");
    one.ssrc.value = 99;
    printf("update of none: %d\n", srtp_update(tx, &one));
    one.ssrc.type = ssrc_any_inbound;
    printf("update of no template: %d\n", srtp_update(tx, &one));
    printf("add a template: %d", srtp_add_stream(rx, &one));
    printf(", two: %d\n", srtp_add_stream(rx, &one));
    sends(tx, SSRC, 7, packet, "after a template");
    receives(rx, packet, 110, "after a template");
    one.ssrc.type = ssrc_undefined;
    printf("undefined: %d %d\n", srtp_add_stream(rx, &one), srtp_update(rx, &one));

    uint32_t roc = 0;
    printf("no stream: %d %d\n", srtp_get_stream_roc(rx, 1234, &roc), srtp_set_stream_roc(rx, 1234, 1));
    srtp_dealloc(tx);
    srtp_dealloc(rx);
}

static void counters(void)
{
    unsigned char packet[ROOM];
    setter *set = srtp_crypto_policy_set_rtp_default;
    printf("---- counters\n");
    srtp_policy_t out = policy(set, set, ssrc_specific, SSRC, key_a), in = policy(set, set, ssrc_any_inbound, 0, key_a);
    srtp_policy_t specific = policy(set, set, ssrc_specific, SSRC, key_a);
    srtp_t tx = create(&out), rx = create(&in);
    printf("set: %d\n", srtp_set_stream_roc(tx, SSRC, 5));
    int len = sends(tx, SSRC, 100, packet, "at 5");
    receives(rx, packet, len, "late joiner");
    printf("add: %d", srtp_add_stream(rx, &specific));
    printf(", set: %d\n", srtp_set_stream_roc(rx, SSRC, 5));
    receives(rx, packet, len, "late joiner that was told");
    uint32_t roc = 0;
    printf("get: %d", srtp_get_stream_roc(rx, SSRC, &roc));
    printf(" %u\n", roc);
    srtp_dealloc(tx);
    srtp_dealloc(rx);

    out.allow_repeat_tx = 1;
    tx = create(&out);
    sends(tx, SSRC, 300, packet, "first");
    sends(tx, SSRC, 300, packet, "repeated");
    sends(tx, SSRC, 100, packet, "too old");
    srtp_dealloc(tx);
    out.allow_repeat_tx = 2;
    create(&out);
    out.allow_repeat_tx = 0;
    tx = create(&out);
    sends(tx, SSRC, 300, packet, "first");
    sends(tx, SSRC, 300, packet, "repeated");
    sends(tx, SSRC, 173, packet, "just in the window");
    sends(tx, SSRC, 172, packet, "just out of it");
    srtp_dealloc(tx);
    const unsigned long windows[] = {63, 64, 32767, 32768};
    for (int i = 0; i < 4; i++) {
        out.window_size = windows[i];
        printf("window %lu\n", windows[i]);
        tx = create(&out);
        if (tx != NULL) {
            srtp_dealloc(tx);
        }
    }
}

static void mkis(setter *set)
{
    unsigned char packet[ROOM], copy[ROOM], mki_a[] = {1, 2, 3, 4}, mki_b[] = {5, 6, 7, 8};
    printf("---- MKIs\n");
    srtp_master_key_t a = {key_a, mki_a, 4}, b = {key_b, mki_b, 4}, *keys[] = {&a, &b};
    srtp_policy_t out = policy(set, set, ssrc_any_outbound, 0, NULL), in = policy(set, set, ssrc_any_inbound, 0, NULL);
    out.keys = in.keys = keys;
    out.num_master_keys = in.num_master_keys = 2;
    srtp_t tx = create(&out), rx = create(&in);
    unsigned seq = 1;
    for (unsigned use = 0; use < 2; use++) {
        for (unsigned index = 0; index < 3; index++) {
            int len = rtp(packet, SSRC, seq++), status = srtp_protect_mki(tx, packet, &len, use, index);
            if (status != 0) {
                printf("protect %u %u: %d\n", use, index, status);
                continue;
            }
            say("protect", status, packet, len);
            memcpy(copy, packet, ROOM);
            int other = len;
            status = srtp_unprotect_mki(rx, copy, &other, !use);
            printf("unprotect, other way: %d\n", status);
            status = srtp_unprotect_mki(rx, packet, &len, use);
            if (status != 0) {
                printf("unprotect %u %u: %d\n", use, index, status);
            } else {
                say("unprotect", status, packet, len);
            }
            len = rtcp(packet, SSRC);
            status = srtp_protect_rtcp_mki(tx, packet, &len, use, index);
            say("rtcp protect", status, packet, len);
            status = srtp_unprotect_rtcp_mki(rx, packet, &len, use);
            say("rtcp unprotect", status, packet, len);
        }
    }
    uint32_t length = 0;
    printf("trailer: %d", srtp_get_protect_trailer_length(tx, 1, 0, &length));
    printf(" %u", length);
    printf(", no such key: %d\n", srtp_get_protect_trailer_length(tx, 1, 2, &length));
    srtp_dealloc(tx);
    srtp_dealloc(rx);
}

static void odd(void)
{
    unsigned char packet[ROOM];
    setter *set = srtp_crypto_policy_set_rtp_default;
    printf("---- odd calls\n");
    srtp_policy_t out = policy(set, set, ssrc_any_outbound, 0, key_a), in = policy(set, set, ssrc_any_inbound, 0, key_a);
    srtp_t tx = create(&out), rx = create(&in);
    for (int len = 0; len < 24; len += 4) {
        rtp(packet, SSRC, 1);
        int octets = len;
        printf("%d octets: %d", len, srtp_protect(tx, packet, &octets));
        octets = len;
        rtp(packet, SSRC, 1);
        printf(" %d", srtp_unprotect(rx, packet, &octets) != 0);
        octets = len < 8 ? len : 0;
        printf(" %d\n", srtp_protect_rtcp(tx, packet, &octets));
    }
    /* CSRCs and an extension that reach past the end. */
    int len = rtp(packet, SSRC, 50);
    packet[0] = 0x9f;
    len = 60;
    printf("csrcs: %d\n", srtp_protect(tx, packet, &len));
    len = rtp(packet, SSRC, 51);
    packet[15] = 200;
    printf("extension: %d\n", srtp_protect(tx, packet, &len));

    /* Unencrypted SRTCP, and a receiver that wants it encrypted. */
    out.rtcp.sec_serv = sec_serv_auth;
    srtp_t plain = create(&out);
    len = rtcp(packet, SSRC);
    int status = srtp_protect_rtcp(plain, packet, &len);
    say("unencrypted", status, packet, len);
    printf("cannot check: %d\n", srtp_unprotect_rtcp(rx, packet, &len));

    /* An SSRC that goes both ways. */
    printf("handler: %d\n", srtp_install_event_handler(on_event));
    len = sends(tx, 77, 1, packet, "sent");
    len = sends(plain, 78, 1, packet, "sent by another");
    receives(rx, packet, len, "received");
    printf("collisions so far: %d\n", collisions);
    sends(rx, 78, 5, packet, "sent back");
    printf("collisions: %d\n", collisions);
    srtp_install_event_handler(NULL);

    int data = 0;
    srtp_set_user_data(tx, &data);
    printf("user data: %d\n", srtp_get_user_data(tx) == &data && srtp_get_user_data(rx) == NULL);
    out.key = NULL;
    create(&out);
    printf("null: %d %d\n", srtp_create(NULL, &in), srtp_add_stream(tx, NULL));
    srtp_dealloc(tx);
    srtp_dealloc(rx);
    srtp_dealloc(plain);
}

int main(void)
{
    for (int i = 0; i < 64; i++) {
        key_a[i] = (unsigned char)i;
        key_b[i] = (unsigned char)(200 - i);
    }
    printf("init: %d\n", srtp_init());
    suite("CM80", srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default);
    suite("CM32", srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32, srtp_crypto_policy_set_rtcp_default);
    suite("CM32, SRTCP too", srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32, srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32);
    suite("CM256-80", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80);
    suite("CM256-32", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80);
    suite("GCM128", srtp_crypto_policy_set_aes_gcm_128_16_auth, srtp_crypto_policy_set_aes_gcm_128_16_auth);
    suite("GCM256", srtp_crypto_policy_set_aes_gcm_256_16_auth, srtp_crypto_policy_set_aes_gcm_256_16_auth);
    suite("GCM128-8", srtp_crypto_policy_set_aes_gcm_128_8_auth, srtp_crypto_policy_set_aes_gcm_128_8_auth);
    suite("GCM128-8, SRTCP authenticated only", srtp_crypto_policy_set_aes_gcm_128_8_auth,
          srtp_crypto_policy_set_aes_gcm_128_8_only_auth);
    suite("NULL-80", srtp_crypto_policy_set_null_cipher_hmac_sha1_80, srtp_crypto_policy_set_null_cipher_hmac_sha1_80);
    streams();
    counters();
    mkis(srtp_crypto_policy_set_rtp_default);
    mkis(srtp_crypto_policy_set_aes_gcm_128_16_auth);
    odd();
    printf("shutdown: %d\n", srtp_shutdown());
    return 0;
}
