/* Digests by OpenSSL. */
#include "common/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

void digest_hex40(char *buf, const void *data, size_t len)
{
	unsigned char md[EVP_MAX_MD_SIZE];

	if (EVP_Digest(data, len, md, NULL, EVP_sha256(), NULL) != 1)
		abort();
	for (size_t i = 0; i < 20; i++)
		snprintf(buf + 2 * i, 3, "%02x", md[i]);
}
