/*
 * Is a revision complete? Judges what was read of it (pure). Only a revision that nothing speaks
 * against is DOWNLOADED: clients legitimately fetch parts of a repository, so a missing file counts
 * only where another file says that it belongs there.
 */
#ifndef LARDER_HF_JUDGE_H
#define LARDER_HF_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hf_evidence {
	bool downloading;    /* a partial file of its repository is being written or locked */
	int64_t quiet_ms;    /* since anything in it changed last */
	int64_t settle_ms;   /* so long a change counts as a download that goes on */
	const char *odd;     /* something that is not understood, or NULL */
	const char *missing; /* a path that points at nothing, or that an index asks for; or NULL */
	const char *empty;   /* a weight file without bytes, or NULL */
	size_t files;
};

enum hf_verdict { HF_COMPLETE, HF_DOWNLOADING, HF_BROKEN };

/* `why` gets a sentence for DOWNLOADING and BROKEN. */
enum hf_verdict hf_judge(const struct hf_evidence *evidence, char *why, size_t size);

/* Names of weight files, whose emptiness cannot be right. */
bool hf_judge_is_weight(const char *path);

/* "model.safetensors.index.json" and "pytorch_model.bin.index.json", in any folder. */
bool hf_judge_is_index(const char *path);

/*
 * Calls `file` for each distinct run of file names in an index's weight_map, until it returns
 * false. Text that is no such index gives no calls: no evidence.
 */
void hf_judge_index(const char *text, size_t len, bool (*file)(const char *name, void *arg),
		    void *arg);

/*
 * For "x-00002-of-00005.gguf": writes the name of part `part` into `buf`; returns how many parts
 * there are, or 0 when it is no such name.
 */
unsigned hf_judge_gguf_part(const char *path, unsigned part, char *buf, size_t size);

#endif
