/* Sends or receives as many small datagrams as it can, many with each call, so that what lies between is the slow part.
 * Usage: datagrams receive PORT                  counts, and answers "?" with the number since it was asked last
 *        datagrams send ADDRESS PORT SECONDS     sends for that time, asks, and prints how many arrived each second */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 64, LENGTH = 64 };

static char bytes[MANY][LENGTH];
static struct iovec parts[MANY];
static struct mmsghdr messages[MANY];
static struct sockaddr_in from[MANY];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int sending = argc > 4, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 4 << 20;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[sending ? 3 : 2])) };
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    for (int i = 0; i < MANY; i++) {
        memset(bytes[i], '.', LENGTH);
        parts[i] = (struct iovec){ bytes[i], LENGTH };
        messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
    }
    if (sending) {
        inet_pton(AF_INET, argv[2], &address.sin_addr);
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) return 1;
        char count[32] = "";
        /* The first question makes way, and sets the count to nothing; later ones may be lost behind what was sent. */
        for (int asked = 0; asked < 2; asked++) {
            double begun = now(), seconds = atof(argv[4]);
            while (asked && now() < begun + seconds) sendmmsg(fd, messages, MANY, 0);
            seconds = now() - begun;
            struct pollfd answer = { .fd = fd, .events = POLLIN };
            int tries = 0;
            for (; tries < 20; tries++) {
                usleep(asked ? 100000 : 1000);
                send(fd, "?", 1, 0);
                if (poll(&answer, 1, 200) > 0 && recv(fd, count, sizeof count - 1, 0) > 0) break;
            }
            if (tries == 20) return 1;
            if (asked) printf("%.0f\n", atol(count) / seconds);
        }
        return 0;
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) return 1;
    for (long count = 0;;) {
        for (int i = 0; i < MANY; i++) {
            messages[i].msg_hdr.msg_name = &from[i];
            messages[i].msg_hdr.msg_namelen = sizeof from[i];
        }
        int got = recvmmsg(fd, messages, MANY, MSG_WAITFORONE, NULL);
        for (int i = 0; i < got; i++) {
            if (messages[i].msg_len == 1) {
                char text[32];
                int length = snprintf(text, sizeof text, "%ld", count);
                sendto(fd, text, length, 0, (struct sockaddr *)&from[i], sizeof from[i]);
                count = 0;
            } else {
                count++;
            }
        }
    }
}
