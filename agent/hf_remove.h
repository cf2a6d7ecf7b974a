/*
 * Removes one revision from a Hugging Face cache, in the steps of layout.h. The order is refs, then
 * the snapshot by one rename, then blobs: each state in between is a sound cache for
 * huggingface_hub and for @huggingface/hub (docs/deletion.md).
 */
#ifndef LARDER_HF_REMOVE_H
#define LARDER_HF_REMOVE_H

#include "agent/layout.h"

enum removal_outcome hf_remove_look(struct removal_task *task);
enum removal_outcome hf_remove_check(struct removal_task *task);
enum removal_outcome hf_remove_take(struct removal_task *task);
enum removal_outcome hf_remove_move(struct removal_task *task);
enum removal_outcome hf_remove_look_again(struct removal_task *task);
enum undo_answer hf_remove_undo(struct removal_task *task);
int hf_remove_commit(struct removal_task *task);
void hf_remove_clean(struct removal_task *task, char *trash, size_t size);
enum removal_outcome hf_remove_recover(struct removal_task *task, char *trash, size_t size);
void hf_remove_finish(struct removal_task *task);
void hf_remove_end(struct removal_task *task);

#endif
