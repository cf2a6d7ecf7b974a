/* Names of models in a Hugging Face cache: from folder and commit to the name in Redis. */
#ifndef LARDER_HF_NAME_H
#define LARDER_HF_NAME_H

#include <stddef.h>

#include "common/model_name.h"

/* "hf" for models--*, "hf.d" datasets--*, "hf.s" spaces--*, "hf.k" kernels--*; NULL for others. */
const char *hf_name_layout(const char *folder);

/* How many digits of their commits tell these revisions of one repository apart: 12, 16, ... */
unsigned hf_name_revision_len(const char *const *commits, size_t count);

/*
 * The canonical name of a revision, into `buf` (MODEL_NAME_SIZE). Folder to name is one to one; a
 * folder or commit that the grammar cannot spell is named by its digest.
 */
void hf_name_build(char *buf, const char *root, const char *folder, const char *commit,
		   unsigned revision_len);

#endif
