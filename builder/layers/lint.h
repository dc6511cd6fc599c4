/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no image may hold: secrets, identities that must be each machine's own, leftovers of the build.
 */
#ifndef INGOT_LAYERS_LINT_H
#define INGOT_LAYERS_LINT_H

#include "profile/profile.h"
#include "tree/tree.h"

struct lint;

struct lint_rule {
	const char *name;    /* "ssh-host-key" */
	const char *summary; /* what is wrong, for the message and the README */
	/* True when the entry breaks the rule. */
	bool (*breaks)(const struct lint *lint, const struct tree_node *node, const char *path);
};

/* All rules, ended by a row with a NULL name. */
extern const struct lint_rule lint_rules[];

/* Checks the finished tree by all rules; what is in container layers is not the host's and is passed over. Findings are ERR_LINT; the message lists up to 20, each with its
 * rule, its path and where the entry came from. Reads small files of the tree. */
int lint_tree(const struct tree *tree, const struct profile *profile, struct err *err);

#endif
