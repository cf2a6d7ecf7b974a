/* Names of files that are being downloaded (pure). */
#ifndef LARDER_PARTIAL_H
#define LARDER_PARTIAL_H

#include <stdbool.h>

/*
 * Is this the name of a file that a program has not finished? By its ending: huggingface_hub,
 * hf-hub and npm write ".incomplete", llama.cpp ".downloadInProgress", hf-fetch-model ".part",
 * aria2 a
 * ".aria2" beside the file, browsers ".crdownload", ".download" and ".part", others ".partial" and
 * ".tmp".
 */
bool partial_name(const char *name);

#endif
