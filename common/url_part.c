/* Asks libcurl for the parts of a URL. */
#include "common/url_part.h"

#include <string.h>

bool url_lacks(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool lacks = curl_url_get(url, part, &text, 0) != CURLUE_OK;

	curl_free(text);
	return lacks;
}

bool url_has(CURLU *url, CURLUPart part, const char *wanted)
{
	char *text = NULL;
	bool same = curl_url_get(url, part, &text, 0) == CURLUE_OK && strcmp(text, wanted) == 0;

	curl_free(text);
	return same;
}
