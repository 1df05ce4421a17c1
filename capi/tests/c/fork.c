/* A process forks while its threads are inside calls; the child goes on with the sessions it inherited. C11. */
#define _GNU_SOURCE
#include <keyflip.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static keyflip_session busy, inherited;
static atomic_bool stop;

static keyflip_session make(uint8_t octet)
{
    uint8_t octets[30];
    memset(octets, octet, sizeof octets);
    keyflip_key key = {.key = octets, .key_len = sizeof octets};
    keyflip_session_config config = {.size = sizeof config,
                                     .profile = KEYFLIP_PROFILE_AES128_CM_SHA1_80,
                                     .inbound = &key,
                                     .inbound_count = 1,
                                     .outbound = &key};
    keyflip_session session = 0;
    return keyflip_session_new(&config, &session) == KEYFLIP_OK ? session : 0;
}

static void *keep_busy(void *unused)
{
    (void)unused;
    for (uint16_t n = 0; !atomic_load(&stop); n++) {
        uint8_t packet[200] = {0x80, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, 0, 0, 0, 0, 9};
        keyflip_protect_rtp(busy, packet, 172, sizeof packet);
    }
    return NULL;
}

/* What the child does with what it has. */
static int child(void)
{
    uint8_t packet[200] = {0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}, octets[30] = {5};
    keyflip_key key = {.key = octets, .key_len = sizeof octets};
    if (keyflip_protect_rtp(inherited, packet, 172, sizeof packet) != 182) return 2;
    if (keyflip_unprotect_rtp(inherited, packet, 182) != 172) return 3;
    if (keyflip_rekey(inherited, KEYFLIP_DIRECTION_OUTBOUND, &key, NULL, NULL) != KEYFLIP_OK) return 4;
    keyflip_session own = make(6);
    if (own == 0 || keyflip_protect_rtp(own, packet, 172, sizeof packet) != 182) return 5;
    if (keyflip_session_free(inherited) != KEYFLIP_OK || keyflip_session_free(own) != KEYFLIP_OK) return 6;
    if (keyflip_synchronize(KEYFLIP_DEFAULT_DOMAIN, 10000, NULL, 0, NULL) != KEYFLIP_OK) return 7;
    return 0;
}

int main(void)
{
    busy = make(1);
    inherited = make(2);
    pthread_t thread;
    pthread_create(&thread, NULL, keep_busy, NULL);
    int failed = 0;
    for (int turn = 0; turn < 20 && failed == 0; turn++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(30);
            _exit(child());
        }
        int status = 0;
        waitpid(pid, &status, 0);
        failed = status;
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    if (failed != 0) {
        printf("child: %s %d\n", WIFEXITED(failed) ? "exit" : "signal", WIFEXITED(failed) ? WEXITSTATUS(failed) : WTERMSIG(failed));
    }
    return failed != 0;
}
