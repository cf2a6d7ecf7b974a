/* The version, as `--version` prints it; CMakeLists.txt reads it from here. */
#ifndef LARDER_VERSION_H
#define LARDER_VERSION_H

#define LARDER_VERSION "0.1.0"

#endif
