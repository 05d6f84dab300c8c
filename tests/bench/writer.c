/* Writes to standard output what the log figures need; static, so that it runs in an image with nothing else.
 *
 *   writer lines COUNT SIZE BLOCK   numbered lines of SIZE bytes, BLOCK bytes a write(2); 0: one write a line
 *   writer stamps COUNT MICROS      lines that tell the monotonic time in ns at which they were written, so far apart
 */
#include "lines.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void put(const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t n = write(1, bytes, length);
        if (n < 0 && errno != EINTR) exit(1);
        if (n > 0) bytes += n, length -= (size_t)n;
    }
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "lines") == 0) {
        unsigned long count = strtoul(argv[2], NULL, 10);
        size_t size = strtoul(argv[3], NULL, 10), block = strtoul(argv[4], NULL, 10), held = 0;
        char *buffer = malloc(block + size);
        struct expected line;
        expected_begin(&line, size);
        for (unsigned long n = 0; n < count; n++) {
            expected_copy(&line, buffer + held);
            expected_next(&line);
            held += size;
            if (block == 0) {
                put(buffer, held);
                held = 0;
            } else if (held >= block) {
                put(buffer, block);
                held -= block;
                memmove(buffer, buffer + block, held);
            }
        }
        put(buffer, held);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "stamps") == 0) {
        unsigned long count = strtoul(argv[2], NULL, 10);
        usleep(500000); /* whoever follows is there by then */
        for (unsigned long n = 0; n < count; n++) {
            struct timespec now;
            char text[40];
            usleep((useconds_t)strtoul(argv[3], NULL, 10));
            clock_gettime(CLOCK_MONOTONIC, &now);
            put(text, (size_t)sprintf(text, "%020llu\n", now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec));
        }
        return 0;
    }
    return 2;
}
