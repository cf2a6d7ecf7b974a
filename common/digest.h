/* SHA-256 by OpenSSL, for names that are too long or have no spelling. */
#ifndef LARDER_DIGEST_H
#define LARDER_DIGEST_H

#include <stddef.h>

/* The first 40 hexadecimal digits of the SHA-256 of `data`, into `buf` (41 bytes). */
void digest_hex40(char *buf, const void *data, size_t len);

#endif
