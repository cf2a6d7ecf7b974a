/* Files that are open or mapped now, as a source of use (source.h). */
#ifndef LARDER_USE_OPEN_H
#define LARDER_USE_OPEN_H

extern const struct source source_open;

#endif
