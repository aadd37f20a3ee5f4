/* What a relay in user space needs at the least, with kernel TCP on both sides: one thread, one epoll, four calls a
 * connection to set it up, recv and send for little, splice for bulk. No limits, no true addresses, no held SYNs.
 * Usage: relay LISTENING-FD ADDRESS PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 65536, CHUNK = 1 << 20 };

struct link;
struct end {
    struct link *link;
    int fd, readable, writable, ending, ended;
    int pipe[2];
    size_t piped;
};
struct link {
    struct end end[2];
    int gone;
};

static char buffer[BUFFER];

static int blocked(void) { return errno == EAGAIN || errno == EINTR; }

/* Moves what has arrived at `from` to the other end. Returns whether the connection goes on. */
static int move(struct end *from, struct end *to) {
    while (from->piped || (from->readable && to->writable && !from->ended)) {
        ssize_t n;
        if (from->piped) {
            n = splice(from->pipe[0], NULL, to->fd, NULL, from->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (n < 0 && !blocked()) return 0;
            if (n < 0) {
                to->writable = 0;
                return 1;
            }
            from->piped -= n;
        } else if (from->pipe[1] >= 0) {
            n = splice(from->fd, NULL, from->pipe[1], NULL, CHUNK, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (n < 0 && !blocked()) return 0;
            if (n < 0) from->readable = 0;
            if (n == 0) from->ended = 1, shutdown(to->fd, SHUT_WR);
            if (n > 0) from->piped = n;
        } else {
            n = recv(from->fd, buffer, BUFFER, 0);
            if (n < 0 && !blocked()) return 0;
            if (n < 0) from->readable = 0;
            if (n == 0) from->ended = 1, shutdown(to->fd, SHUT_WR);
            if (n > 0 && n < BUFFER) from->readable = from->ending;
            for (ssize_t sent = 0, m; n > 0 && sent < n; sent += m) {
                m = send(to->fd, buffer + sent, n - sent, MSG_NOSIGNAL);
                if (m < 0 && !blocked()) return 0;
                /* Only a pipe may be full here: what is left of one buffer waits for the other end. */
                if (m < 0) m = 0;
            }
            if (n == BUFFER && pipe2(from->pipe, O_NONBLOCK | O_CLOEXEC) == 0) fcntl(from->pipe[1], F_SETPIPE_SZ, CHUNK);
        }
    }
    return !(from->ended && to->ended);
}

static void let_go(struct link *link) {
    for (int i = 0; i < 2; i++) {
        struct end *end = &link->end[i];
        close(end->fd);
        if (end->pipe[0] >= 0) close(end->pipe[0]), close(end->pipe[1]);
    }
    link->gone = 1;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int listener = atoi(argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC), one = 1;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[3])) };
    struct epoll_event events[256], watch = { .events = EPOLLIN };
    static struct link *freed[512];
    inet_pton(AF_INET, argv[2], &to.sin_addr);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &watch);
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1), frees = 0;
        for (int i = 0; i < count; i++) {
            struct end *end = events[i].data.ptr;
            if (!end) {
                for (int near; (near = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                    int far = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                    setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    connect(far, (struct sockaddr *)&to, sizeof to);
                    struct link *link = calloc(1, sizeof *link);
                    for (int k = 0; k < 2; k++) {
                        link->end[k] = (struct end){ .link = link, .fd = k ? far : near, .pipe = { -1, -1 } };
                        watch.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
                        watch.data.ptr = &link->end[k];
                        epoll_ctl(epoll, EPOLL_CTL_ADD, link->end[k].fd, &watch);
                    }
                }
                continue;
            }
            struct link *link = end->link;
            if (link->gone) continue;
            unsigned got = events[i].events;
            if (got & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) end->ending = 1;
            if (got & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) end->readable = 1;
            if (got & (EPOLLOUT | EPOLLHUP | EPOLLERR)) end->writable = 1;
            struct end *other = &link->end[end == &link->end[0]];
            if ((got & EPOLLERR) || !move(end, other) || !move(other, end)) {
                let_go(link);
                freed[frees++] = link;
            }
        }
        while (frees) free(freed[--frees]);
    }
}
