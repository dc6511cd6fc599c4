/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of tables: what tells them apart, and the short form in which an entry is only its
 * identity.
 */
#include "profile/load.h"

#include <string.h>

const struct doc_pair *profile_entry_identity(const struct schema_row *table,
					      const struct doc_node *entry)
{
	const struct schema_row *other = schema_identity_else(table);
	const struct doc_pair *pair = doc_node_pair(entry, schema_leaf(schema_identity(table)));

	return pair || !other ? pair : doc_node_pair(entry, schema_leaf(other));
}

bool profile_identity_equal(const struct schema_row *row, const struct doc_pair *a,
			    const struct doc_pair *b)
{
	size_t len = schema_identity_length(row, a->value->text);

	return strcmp(a->key, b->key) == 0 && strncmp(a->value->text, b->value->text, len) == 0 &&
	       schema_identity_length(row, b->value->text) == len;
}

void profile_expand(struct mem_arena *arena, const struct schema_row *row, struct doc_node *node)
{
	struct doc_node *inner = mem_arena_alloc(arena, sizeof(*inner));

	*inner = *node;
	*node = (struct doc_node){.place = inner->place};
	node->kind = row->shape == SCHEMA_TABLE ? DOC_MAP : DOC_LIST;
	if (row->shape == SCHEMA_TABLE)
		doc_node_set(arena, node, schema_leaf(schema_identity(row)), inner->place, inner);
	else
		doc_node_append(arena, node, inner);
}
