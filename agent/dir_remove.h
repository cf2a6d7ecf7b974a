/*
 * Removes one model of the layout "directory", in the steps of layout.h: one rename beside itself,
 * one more that commits, and the reaper's work on what is left (docs/deletion.md).
 */
#ifndef LARDER_DIR_REMOVE_H
#define LARDER_DIR_REMOVE_H

#include "agent/layout.h"
#include "agent/root.h"
#include "agent/tree.h"

/* Whether a folder of which the files come to `sum` is whole: sets `status` and `why` of `report`.
 */
void dir_judge(const struct root *root, const struct tree_sum *sum, struct model_report *report);

enum removal_outcome dir_remove_look(struct removal_task *task);
enum removal_outcome dir_remove_check(struct removal_task *task);
enum removal_outcome dir_remove_take(struct removal_task *task);
enum removal_outcome dir_remove_move(struct removal_task *task);
enum removal_outcome dir_remove_look_again(struct removal_task *task);
enum undo_answer dir_remove_undo(struct removal_task *task);
int dir_remove_commit(struct removal_task *task);
void dir_remove_clean(struct removal_task *task, char *trash, size_t size);
enum removal_outcome dir_remove_recover(struct removal_task *task, char *trash, size_t size);
void dir_remove_finish(struct removal_task *task);
void dir_remove_end(struct removal_task *task);

#endif
