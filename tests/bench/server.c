/* The smallest HTTP server that a benchmark of networks can use: one thread, one short answer, connections kept when asked. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char kept[] = "HTTP/1.0 200 OK\r\nContent-Length: 100\r\nConnection: keep-alive\r\n\r\n";
static const char once[] = "HTTP/1.0 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n";

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(count > 1 ? atoi(arguments[1]) : 80) };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = address.sin6_port };
    int yes = 1, listener = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address)) {
        listener = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (bind(listener, (struct sockaddr *)&four, sizeof four)) return 1;
    }
    if (listen(listener, 1024)) return 1;
    int poll = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = listener }, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    char in[4096], out[256];
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client = accept4(listener, 0, 0, SOCK_NONBLOCK);
                if (client < 0) continue;
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                event = (struct epoll_event){ .events = EPOLLIN, .data.fd = client };
                epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                continue;
            }
            /* The clients of the benchmark send a request in one piece, and the next one after the answer. */
            ssize_t got = read(fd, in, sizeof in);
            int keep = got > 0 && memmem(in, got, "eep-", 4) != 0;
            if (got > 0) {
                const char *head = keep ? kept : once;
                size_t length = strlen(head);
                memcpy(out, head, length);
                memset(out + length, 'x', 100);
                if (write(fd, out, length + 100) < 0) keep = 0;
            }
            if (!keep) close(fd);
        }
    }
}
