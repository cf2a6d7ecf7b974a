/* What a revision's files say about it: is it complete, and how big is each file. */
#ifndef LARDER_HF_EVIDENCE_H
#define LARDER_HF_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/hf_judge.h"

struct hf_file;
struct hf_repo;
struct hf_revision;
struct root;

/* Judges a revision; `downloading`: a client is at work in its repository. `why` as hf_judge. */
enum hf_verdict hf_evidence_verdict(const struct root *root, struct hf_repo *repo,
				    struct hf_revision *rev, bool downloading, char *why,
				    size_t size);

/* The bytes behind a file of a revision. */
int64_t hf_evidence_size(const struct hf_file *file);

#endif
