/* Opened files, as they happen, as a source of use (source.h). */
#ifndef LARDER_USE_WATCH_H
#define LARDER_USE_WATCH_H

extern const struct source source_watch;

#endif
