/* A receiver that rekeys under load.
 *
 * One thread sends SRTP over loopback, as fast as a receiver takes it. Two threads receive it in batches. Meanwhile the main thread replaces the keys of
 * both ends every two milliseconds. No packet is refused: receiving keys are replaced first, and the keys before them stay in grace.
 *
 *     cc receiver.c $(pkg-config --cflags --libs keyflip) -pthread && ./a.out [SECONDS]
 */
#define _GNU_SOURCE
#include <keyflip.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, ROOM = 1500, PAYLOAD = 1000, KEY = 30 };

static keyflip_session peer, ours;
static int to_us, from_peer;
static atomic_bool stop;
static atomic_ulong sent, received, refused;

static void must(int32_t code, const char *what)
{
    if (code < 0) {
        fprintf(stderr, "%s: %s\n", what, keyflip_error_text(code));
        exit(1);
    }
}

static void *send_packets(void *unused)
{
    (void)unused;
    uint8_t packet[ROOM];
    for (uint32_t n = 0; !atomic_load(&stop); n++) {
        const uint8_t header[12] = {0x80, 96, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, 0, 0xca, 0xfe, 0xba, 0xbe};
        memcpy(packet, header, sizeof header);
        memset(packet + sizeof header, (int)(n & 0xff), PAYLOAD);
        int32_t len = keyflip_protect_rtp(peer, packet, sizeof header + PAYLOAD, sizeof packet);
        must(len, "keyflip_protect_rtp");
        if (send(from_peer, packet, (size_t)len, 0) == len) {
            atomic_fetch_add(&sent, 1);
        }
        /* Never so far ahead that the socket overflows. */
        while (!atomic_load(&stop) && atomic_load(&sent) > atomic_load(&received) + atomic_load(&refused) + 64) {
            sched_yield();
        }
    }
    return NULL;
}

static void *receive_packets(void *unused)
{
    (void)unused;
    static _Thread_local uint8_t buffers[BATCH][ROOM];
    struct mmsghdr messages[BATCH];
    struct iovec places[BATCH];
    keyflip_packet packets[BATCH];
    while (!atomic_load(&stop)) {
        memset(messages, 0, sizeof messages);
        for (int i = 0; i < BATCH; i++) {
            places[i] = (struct iovec){.iov_base = buffers[i], .iov_len = ROOM};
            messages[i].msg_hdr.msg_iov = &places[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        int count = recvmmsg(to_us, messages, BATCH, MSG_WAITFORONE, NULL);
        if (count <= 0) {
            continue; /* the socket's timeout: look at stop again */
        }
        for (int i = 0; i < count; i++) {
            packets[i] = (keyflip_packet){.session = ours,
                                          .data = buffers[i],
                                          .len = messages[i].msg_len,
                                          .capacity = ROOM,
                                          .protocol = KEYFLIP_PROTOCOL_RTP};
        }
        must(keyflip_unprotect_batch(packets, (size_t)count), "keyflip_unprotect_batch");
        for (int i = 0; i < count; i++) {
            if (packets[i].status == KEYFLIP_OK && buffers[i][12] == buffers[i][3]) {
                atomic_fetch_add(&received, 1);
            } else {
                atomic_fetch_add(&refused, 1);
                fprintf(stderr, "refused: %s\n", keyflip_error_text(packets[i].status));
            }
        }
    }
    return NULL;
}

static void sockets(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct timeval timeout = {.tv_usec = 50000};
    to_us = socket(AF_INET, SOCK_DGRAM, 0);
    from_peer = socket(AF_INET, SOCK_DGRAM, 0);
    if (to_us < 0 || from_peer < 0 || bind(to_us, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(to_us, (struct sockaddr *)&address, &len) != 0 ||
        connect(from_peer, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(to_us, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0) {
        perror("socket");
        exit(1);
    }
}

/* A fresh key, as signalling would hand it over. */
static keyflip_key fresh(uint8_t octets[KEY])
{
    if (getrandom(octets, KEY, 0) != KEY) {
        perror("getrandom");
        exit(1);
    }
    return (keyflip_key){.key = octets, .key_len = KEY};
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 3;
    uint8_t octets[KEY];
    keyflip_key key = fresh(octets);
    keyflip_session_config sends = {
        .size = sizeof sends, .profile = KEYFLIP_PROFILE_AES128_CM_SHA1_80, .outbound = &key};
    keyflip_session_config receives = {.size = sizeof receives,
                                       .profile = KEYFLIP_PROFILE_AES128_CM_SHA1_80,
                                       .inbound = &key,
                                       .inbound_count = 1,
                                       .grace_keys = 15};
    must(keyflip_session_new(&sends, &peer), "keyflip_session_new");
    must(keyflip_session_new(&receives, &ours), "keyflip_session_new");
    sockets();

    pthread_t threads[3];
    pthread_create(&threads[0], NULL, send_packets, NULL);
    pthread_create(&threads[1], NULL, receive_packets, NULL);
    pthread_create(&threads[2], NULL, receive_packets, NULL);

    unsigned long rekeys = 0;
    for (time_t end = time(NULL) + seconds; time(NULL) < end; rekeys++) {
        key = fresh(octets);
        must(keyflip_rekey(ours, KEYFLIP_DIRECTION_INBOUND, &key, NULL, NULL), "keyflip_rekey");
        must(keyflip_rekey(peer, KEYFLIP_DIRECTION_OUTBOUND, &key, NULL, NULL), "keyflip_rekey");
        usleep(2000);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    keyflip_wipe(octets, sizeof octets);
    must(keyflip_session_free(ours), "keyflip_session_free");
    must(keyflip_session_free(peer), "keyflip_session_free");

    /* Every key that was ever in use is wiped by now, or soon. */
    must(keyflip_synchronize(KEYFLIP_DEFAULT_DOMAIN, 1000, NULL, 0, NULL), "keyflip_synchronize");
    keyflip_domain_stats stats = {.size = sizeof stats};
    must(keyflip_domain_counters(KEYFLIP_DEFAULT_DOMAIN, &stats), "keyflip_domain_counters");
    printf("%lu packets received, %lu refused, %lu rekeys; %llu keys made, %llu wiped\n", atomic_load(&received),
           atomic_load(&refused), rekeys, (unsigned long long)stats.keys_created, (unsigned long long)stats.keys_wiped);
    return atomic_load(&refused) == 0 && atomic_load(&received) > 0 && stats.keys_created == stats.keys_wiped ? 0 : 1;
}
