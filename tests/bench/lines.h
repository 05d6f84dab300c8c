/* The lines of the log figures: twelve digits and a text that differs from line to line, for writer and receiver alike. */
#include <stdio.h>
#include <string.h>

enum { DIGITS = 12, SHIFTS = 61, LONGEST = 8192 };

struct expected {
    size_t size; /* with LF */
    unsigned long number;
    char digits[DIGITS + 1];
    char text[LONGEST + SHIFTS];
};

static void expected_begin(struct expected *line, size_t size) {
    unsigned state = 1;
    line->size = size;
    line->number = 0;
    memset(line->digits, '0', DIGITS);
    for (size_t i = 0; i < sizeof line->text; i++) {
        state = state * 1103515245 + 12345;
        line->text[i] = "abcdefghijklmnopqrstuvwxyz 0123456789 ABCDEFGHIJKLMNOPQRSTUV-./="[state >> 16 & 63];
    }
}

static void expected_next(struct expected *line) {
    line->number++;
    for (int i = DIGITS - 1; i >= 0 && line->digits[i]++ == '9'; i--) line->digits[i] = '0';
}

static inline void expected_copy(const struct expected *line, char *out) {
    memcpy(out, line->digits, DIGITS);
    memcpy(out + DIGITS, line->text + line->number % SHIFTS, line->size - DIGITS - 1);
    out[line->size - 1] = '\n';
}

/* Whether these bytes, without LF, are the line. */
static inline int expected_is(const struct expected *line, const char *bytes, size_t length) {
    return length == line->size - 1 && memcmp(bytes, line->digits, DIGITS) == 0 &&
           memcmp(bytes + DIGITS, line->text + line->number % SHIFTS, length - DIGITS) == 0;
}
