/* Takes the numbered lines of the log figures and checks each of them: number, order, every byte. Tells the monotonic time
 * in ns of the last one. Far faster than what it measures.
 *
 *   receiver syslog|fluentd PORT COUNT SIZE          serves one connection after the other at 127.0.0.1
 *   receiver json|local|raw FILE COUNT SIZE          what stands in a file, or comes from standard input (-)
 *   receiver logs SOCKET CONTAINER COUNT SIZE        reads the container's log by the API
 *   receiver follow SOCKET CONTAINER COUNT           follows it, and tells how late each line of `writer stamps` is, in ns
 */
#include "lines.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static unsigned long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000ULL + (unsigned long long)at.tv_nsec;
}

/* Bytes from a descriptor, or unwrapped from another input. */
struct input {
    int fd;
    struct input *below;
    size_t (*unwrap)(struct input *below, size_t *left, const char **bytes);
    size_t left;
    char *buffer;
    size_t capacity, begin, end;
};

static struct input opened(int fd) {
    struct input in = {.fd = fd, .capacity = 4 << 20};
    in.buffer = malloc(in.capacity);
    return in;
}

/* Reads on; false at the end. */
static int more(struct input *in) {
    if (in->begin == in->end) in->begin = in->end = 0;
    if (in->end == in->capacity) {
        if (in->begin == 0) fail("a record is longer than %zu bytes", in->capacity);
        memmove(in->buffer, in->buffer + in->begin, in->end - in->begin);
        in->end -= in->begin;
        in->begin = 0;
    }
    if (in->unwrap) {
        const char *bytes;
        size_t n = in->unwrap(in->below, &in->left, &bytes);
        if (n > in->capacity - in->end) n = in->capacity - in->end;
        memcpy(in->buffer + in->end, bytes, n);
        in->end += n;
        in->below->begin += n;
        in->left -= n;
        return n > 0;
    }
    for (;;) {
        ssize_t n = read(in->fd, in->buffer + in->end, in->capacity - in->end);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0;
        in->end += (size_t)n;
        return 1;
    }
}

/* So many bytes in a row, still to be taken; NULL at the end. */
static const char *peek(struct input *in, size_t count) {
    while (in->end - in->begin < count)
        if (!more(in)) return NULL;
    return in->buffer + in->begin;
}

static const char *take(struct input *in, size_t count) {
    const char *bytes = peek(in, count);
    if (bytes) in->begin += count;
    return bytes;
}

/* A line without its LF; NULL at the end. */
static const char *take_line(struct input *in, size_t *length) {
    size_t seen = 0;
    for (;;) {
        const char *from = in->buffer + in->begin, *lf = memchr(from + seen, '\n', in->end - in->begin - seen);
        if (lf) {
            *length = (size_t)(lf - from);
            in->begin += *length + 1;
            return from;
        }
        seen = in->end - in->begin;
        if (!more(in)) return NULL;
    }
}

static struct expected line;
static unsigned long wanted;

static void got(const char *bytes, size_t length) {
    if (!expected_is(&line, bytes, length))
        fail("line %lu is %.*s", line.number, (int)(length < 200 ? length : 200), bytes);
    expected_next(&line);
}

static uint32_t big(const char *bytes, int count) {
    uint32_t value = 0;
    while (count-- > 0) value = value << 8 | (uint8_t)*bytes++;
    return value;
}

/* Docker ends each message with LF and puts the text last. */
static void syslog_lines(struct input *in) {
    const char *text;
    size_t length;
    while (line.number < wanted && (text = take_line(in, &length))) {
        if (length < line.size - 1 || text[0] != '<') fail("line %lu: no message: %.*s", line.number, (int)length, text);
        got(text + length - (line.size - 1), line.size - 1);
    }
}

enum shape { NUMBER, TEXT, ARRAY, MAP, EXTENSION, NOTHING };

/* The head of a MessagePack value; `*size` is its bytes, elements or pairs. False at the end. */
static int head(struct input *in, enum shape *shape, size_t *size) {
    const char *byte = take(in, 1);
    if (!byte) return 0;
    uint8_t b = (uint8_t)*byte;
    int wide = 0; /* bytes of a length that follows */
    *size = 0;
    if (b < 0x80 || b >= 0xe0) *shape = NUMBER;
    else if (b < 0x90) *shape = MAP, *size = b & 15;
    else if (b < 0xa0) *shape = ARRAY, *size = b & 15;
    else if (b < 0xc0) *shape = TEXT, *size = b & 31;
    else if (b == 0xc0 || b == 0xc2 || b == 0xc3) *shape = NOTHING;
    else if (b >= 0xc4 && b <= 0xc6) *shape = TEXT, wide = 1 << (b - 0xc4);
    else if (b >= 0xc7 && b <= 0xc9) *shape = EXTENSION, wide = 1 << (b - 0xc7);
    else if (b == 0xca || b == 0xcb) *shape = TEXT, *size = b == 0xca ? 4 : 8; /* floats: skipped alike */
    else if (b >= 0xcc && b <= 0xcf) *shape = NUMBER, *size = (size_t)1 << (b - 0xcc);
    else if (b >= 0xd0 && b <= 0xd3) *shape = NUMBER, *size = (size_t)1 << (b - 0xd0);
    else if (b >= 0xd4 && b <= 0xd8) *shape = EXTENSION, *size = (size_t)1 << (b - 0xd4);
    else if (b >= 0xd9 && b <= 0xdb) *shape = TEXT, wide = 1 << (b - 0xd9);
    else if (b == 0xdc || b == 0xdd) *shape = ARRAY, wide = b == 0xdc ? 2 : 4;
    else if (b == 0xde || b == 0xdf) *shape = MAP, wide = b == 0xde ? 2 : 4;
    else fail("no MessagePack: %02x", b);
    if (wide > 0) {
        const char *bytes = take(in, (size_t)wide);
        if (!bytes) return 0;
        *size = big(bytes, wide);
    }
    if (*shape == EXTENSION) *size += 1; /* its type */
    return 1;
}

static void must(int there) {
    if (!there) fail("the connection ended within a message, at line %lu", line.number);
}

static void skip(struct input *in) {
    enum shape shape;
    size_t size;
    must(head(in, &shape, &size));
    if (shape == ARRAY || shape == MAP) {
        for (size_t n = shape == MAP ? 2 * size : size; n > 0; n--) skip(in);
    } else {
        must(take(in, size) != NULL);
    }
}

static void record(struct input *in) {
    enum shape shape;
    size_t pairs, size;
    must(head(in, &shape, &pairs) && shape == MAP);
    for (; pairs > 0; pairs--) {
        must(head(in, &shape, &size) && shape == TEXT);
        const char *key = take(in, size);
        must(key != NULL);
        if (size == 3 && memcmp(key, "log", 3) == 0) {
            must(head(in, &shape, &size) && shape == TEXT);
            const char *text = take(in, size);
            must(text != NULL);
            got(text, size);
        } else {
            skip(in);
        }
    }
}

/* The options of a message: a chunk is confirmed, as the protocol wants. */
static void options(struct input *in) {
    enum shape shape;
    size_t pairs, size;
    must(head(in, &shape, &pairs) && shape == MAP);
    for (; pairs > 0; pairs--) {
        must(head(in, &shape, &size) && shape == TEXT);
        const char *key = take(in, size);
        must(key != NULL);
        if (size != 5 || memcmp(key, "chunk", 5) != 0) {
            skip(in);
            continue;
        }
        char answer[300] = "\x81\xa3" "ack\xd9";
        must(head(in, &shape, &size) && shape == TEXT && size < 256);
        const char *chunk = take(in, size);
        must(chunk != NULL);
        answer[6] = (char)size;
        memcpy(answer + 7, chunk, size);
        if (write(in->fd, answer, 7 + size) != (ssize_t)(7 + size)) fail("a confirmation was not taken");
    }
}

static void fluentd_lines(struct input *in) {
    enum shape shape;
    size_t elements, size;
    while (line.number < wanted && head(in, &shape, &elements)) {
        if (shape != ARRAY || elements < 2 || elements > 4) fail("no message of the forward protocol");
        skip(in); /* the tag */
        const char *next = peek(in, 1);
        must(next != NULL);
        uint8_t b = (uint8_t)*next;
        size_t left = elements - 2;
        if ((b >= 0x90 && b < 0xa0) || b == 0xdc || b == 0xdd) {
            must(head(in, &shape, &size));
            for (; size > 0; size--) {
                must(head(in, &shape, &elements) && shape == ARRAY && elements == 2);
                skip(in);
                record(in);
            }
        } else if ((b >= 0xa0 && b < 0xc0) || (b >= 0xc4 && b <= 0xc6) || (b >= 0xd9 && b <= 0xdb)) {
            must(head(in, &shape, &size));
            struct input entries = opened(-1);
            must(size <= entries.capacity);
            for (size_t part; entries.end < size; entries.end += part) {
                must(peek(in, 1) != NULL);
                part = in->end - in->begin < size - entries.end ? in->end - in->begin : size - entries.end;
                memcpy(entries.buffer + entries.end, take(in, part), part);
            }
            while (entries.begin < size) {
                must(head(&entries, &shape, &elements) && shape == ARRAY && elements == 2);
                skip(&entries);
                record(&entries);
            }
            free(entries.buffer);
        } else {
            skip(in);
            record(in);
            left -= 1;
        }
        if (left > 0) options(in);
    }
}

static void serve(const char *port, void (*lines)(struct input *)) {
    int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&at, sizeof at) != 0 || listen(listening, 16) != 0) fail("listen: %m");
    puts("listening");
    fflush(stdout);
    while (line.number < wanted) {
        struct input in = opened(accept(listening, NULL, NULL));
        lines(&in);
        close(in.fd);
        free(in.buffer);
    }
}

static void json_lines(struct input *in) {
    const char *text;
    size_t length;
    static const char before[] = "{\"log\":\"", after[] = "\\n\",\"stream\":\"stdout\",\"time\":\"";
    size_t whole = sizeof before - 1 + line.size - 1 + sizeof after - 1;
    while ((text = take_line(in, &length))) {
        if (length < whole + 5 || memcmp(text, before, sizeof before - 1) != 0 ||
            memcmp(text + whole - (sizeof after - 1), after, sizeof after - 1) != 0 || memcmp(text + length - 3, "Z\"}", 3) != 0)
            fail("line %lu stands as %.*s", line.number, (int)length, text);
        got(text + sizeof before - 1, line.size - 1);
    }
}

/* Length, message of protocol buffers, length. */
static void local_lines(struct input *in) {
    const char *bytes;
    while ((bytes = take(in, 4))) {
        size_t size = big(bytes, 4), at = 0;
        must((bytes = take(in, size + 4)) != NULL && big(bytes + size, 4) == size);
        while (at < size) {
            uint8_t key = (uint8_t)bytes[at++];
            size_t value = 0;
            for (int shift = 0;; shift += 7) {
                uint8_t b = (uint8_t)bytes[at++];
                value |= (size_t)(b & 127) << shift;
                if (b < 128) break;
            }
            if (key == (3 << 3 | 2)) got(bytes + at, value);
            if ((key & 7) == 2) at += value;
        }
    }
}

static void raw_lines(struct input *in) {
    const char *text;
    size_t length;
    while ((text = take_line(in, &length))) got(text, length);
}

/* Chunks of HTTP. */
static size_t chunk(struct input *below, size_t *left, const char **bytes) {
    while (*left == 0) {
        size_t length;
        const char *size = take_line(below, &length);
        if (!size) return 0;
        if (length <= 1) continue; /* the end of one */
        *left = strtoul(size, NULL, 16);
        if (*left == 0) return 0;
    }
    *bytes = peek(below, 1);
    size_t there = below->end - below->begin;
    return !*bytes ? 0 : there < *left ? there : *left;
}

/* Frames of Docker's multiplexed streams. */
static size_t frame(struct input *below, size_t *left, const char **bytes) {
    while (*left == 0) {
        const char *header = take(below, 8);
        if (!header) return 0;
        *left = big(header + 4, 4);
    }
    *bytes = peek(below, 1);
    size_t there = below->end - below->begin;
    return !*bytes ? 0 : there < *left ? there : *left;
}

static void late_lines(struct input *in) {
    const char *text;
    size_t length;
    for (unsigned long n = 0; n < wanted && (text = take_line(in, &length)); n++) {
        unsigned long long at = now();
        if (length != 20) fail("line %lu is %.*s", n, (int)length, text);
        printf("%lld\n", (long long)(at - strtoull(text, NULL, 10)));
    }
}

static void logs(const char *path, const char *container, const char *query, void (*lines)(struct input *)) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char request[400];
    size_t length;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) fail("%s: %m", path);
    int n = snprintf(request, sizeof request, "GET /containers/%s/logs?stdout=1%s HTTP/1.1\r\nHost: d\r\n\r\n", container, query);
    if (write(fd, request, (size_t)n) != n) fail("%s: %m", path);
    struct input plain = opened(fd), body = opened(-1), text = opened(-1);
    const char *header = take_line(&plain, &length);
    if (!header || length < 12 || memcmp(header + 9, "200", 3) != 0) fail("%.*s", (int)length, header);
    while ((header = take_line(&plain, &length)) && length > 1) {}
    body.below = &plain, body.unwrap = chunk;
    text.below = &body, text.unwrap = frame;
    lines(&text);
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    const char *what = argv[1];
    int api = strcmp(what, "logs") == 0;
    if (strcmp(what, "follow") == 0) {
        wanted = strtoul(argv[4], NULL, 10);
        logs(argv[2], argv[3], "&follow=1", late_lines);
        return 0;
    }
    if (argc < 5 + api) return 2;
    wanted = strtoul(argv[3 + api], NULL, 10);
    expected_begin(&line, strtoul(argv[4 + api], NULL, 10));
    if (strcmp(what, "syslog") == 0) serve(argv[2], syslog_lines);
    else if (strcmp(what, "fluentd") == 0) serve(argv[2], fluentd_lines);
    else if (api) logs(argv[2], argv[3], "", raw_lines);
    else {
        int fd = strcmp(argv[2], "-") == 0 ? 0 : open(argv[2], O_RDONLY);
        if (fd < 0) fail("%s: %m", argv[2]);
        struct input in = opened(fd);
        if (strcmp(what, "json") == 0) json_lines(&in);
        else if (strcmp(what, "local") == 0) local_lines(&in);
        else raw_lines(&in);
    }
    unsigned long long at = now();
    if (line.number != wanted) fail("%lu lines instead of %lu", line.number, wanted);
    printf("%llu\n", at);
    return 0;
}
