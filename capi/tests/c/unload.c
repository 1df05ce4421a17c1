/* The library is loaded, used and let go again while a thread that used it still runs. C11; links no library. */
#define _GNU_SOURCE
#include <keyflip.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static int32_t (*domain_new)(uint32_t, uint64_t, keyflip_domain *);
static int32_t (*reclaim)(keyflip_domain, uint64_t *);
static pthread_barrier_t used, closed;

static void *user(void *unused)
{
    (void)unused;
    keyflip_domain domain = 0;
    uint64_t left = 0;
    domain_new(0, 0, &domain);
    reclaim(domain, &left);
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return NULL; /* its thread-local storage is torn down now */
}

int main(int argc, char **argv)
{
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (library == NULL) {
        puts(argc == 2 ? dlerror() : "usage: unload LIBRARY");
        return 1;
    }
    *(void **)&domain_new = dlsym(library, "keyflip_domain_new");
    *(void **)&reclaim = dlsym(library, "keyflip_reclaim");
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    pthread_t thread;
    pthread_create(&thread, NULL, user, NULL);
    pthread_barrier_wait(&used);
    dlclose(library);
    pthread_barrier_wait(&closed);
    pthread_join(thread, NULL);
    return 0;
}
