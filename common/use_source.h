/* Where the knowledge of a use came from: the words that stand in Redis, the journal and the API
 * (pure). */
#ifndef LARDER_USE_SOURCE_H
#define LARDER_USE_SOURCE_H

/* Strongest last. */
enum use_source {
	USE_NONE,
	USE_DOWNLOAD, /* its newest file */
	USE_ATIME,    /* access times */
	USE_JOURNAL,  /* known from before a restart, from a source that is not known any more */
	USE_WATCH,    /* seen to be opened */
	USE_OPEN,     /* found open or mapped */
	USE_POD,      /* a pod on this node mentions it */
	USE_API,      /* somebody said so */
	USE_HOLD,     /* somebody holds it */
	USE_PROBE,    /* an engine says that it serves it */
	USE_SOURCES
};

const char *use_source_name(enum use_source source);

/* The source of that name; USE_JOURNAL when there is none. */
enum use_source use_source_parse(const char *name);

#endif
