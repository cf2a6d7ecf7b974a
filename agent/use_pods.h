/* Pods of this node that mention models, as a source of use (source.h). */
#ifndef LARDER_USE_PODS_H
#define LARDER_USE_PODS_H

#include "agent/source.h"

extern const struct source source_pods;

#endif
