/* What stands in a URL that libcurl has parsed. */
#ifndef LARDER_URL_PART_H
#define LARDER_URL_PART_H

#include <curl/curl.h>
#include <stdbool.h>

bool url_lacks(CURLU *url, CURLUPart part);

/* Is the part there, and just this text? */
bool url_has(CURLU *url, CURLUPart part, const char *wanted);

#endif
