/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merges cloud-configs by the default rules of cloud-init. Of several parts of one data, a later one replaces
 * a key of the top level with all that is below it ("dict(replace)+list()+str()"). Vendor-data lies below
 * user-data ("dict(no_replace)+list()+str()"): its maps are joined key by key, and where both have a list or a
 * value, user-data's is taken as it is.
 */
#include "agent/userdata_parts.h"

struct doc_node *userdata_merge(struct mem_arena *arena, const struct doc_node *configs)
{
	struct doc_node *merged = configs->count ? configs->items[0] : NULL;

	for (size_t i = 1; i < configs->count; i++)
		for (size_t k = 0; k < configs->items[i]->count; k++) {
			const struct doc_pair *pair = &configs->items[i]->pairs[k];

			doc_node_set(arena, merged, pair->key, pair->place, pair->value);
		}
	return merged;
}

struct doc_node *userdata_merge_under(struct mem_arena *arena, struct doc_node *over,
				      struct doc_node *under)
{
	if (!over || !under)
		return over ? over : under;
	for (size_t i = 0; i < under->count; i++) {
		const struct doc_pair *pair = &under->pairs[i];
		struct doc_pair *mine = doc_node_pair(over, pair->key);

		if (!mine)
			doc_node_set(arena, over, pair->key, pair->place, pair->value);
		else if (mine->value->kind == DOC_MAP && pair->value->kind == DOC_MAP)
			userdata_merge_under(arena, mine->value, pair->value);
	}
	return over;
}
