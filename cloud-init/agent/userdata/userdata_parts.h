/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that read user-data share: a part with its place, the formats, and the bounds of all of it.
 * Only userdata*.c include this.
 */
#ifndef INGOT_AGENT_USERDATA_PARTS_H
#define INGOT_AGENT_USERDATA_PARTS_H

#include "agent/userdata/userdata.h"

#define USERDATA_DEPTH_MAX 8u               /* of parts in parts and includes in includes */
#define USERDATA_PARTS_MAX ((size_t)256)    /* of both data together */
#define USERDATA_PART_MAX ((size_t)4 << 20) /* bytes of one part, decoded */
#define USERDATA_NODES_MAX \
	(2 * DOC_NODES_MAX) /* of YAML in all parts; one more document may follow */
#define USERDATA_DECODED_MAX ((size_t)16 << 20) /* bytes of all parts, decoded */

struct userdata_part {
	const char *text; /* ended by NUL behind len; in the arena or outlives the reader */
	size_t len;
	struct doc_place place; /* where its first byte is */
	const char *type;       /* as MIME or an archive says, in lower case; or NULL */
	const char *filename;   /* the same; as it came, or NULL */
	const char *merge;      /* how MIME says that a cloud-config is merged, or NULL */
	size_t number;          /* 0: the whole of the data */
	unsigned depth;
};

struct userdata_reader {
	const struct userdata_input *input;
	struct userdata *out;
	struct mem_arena *arena; /* that of out */
	struct doc_report report;
	const char *source; /* "user-data" or "vendor-data", as shown */
	bool vendor, full;  /* full: that there are too many parts is told */
	size_t parts, decoded, includes, nodes;
	struct doc_node *config; /* those of this source so far, merged; or NULL */
};

struct userdata_format {
	const char
		*mark; /* what the text begins with, in lower case; NULL: by its type or detect */
	const char *type; /* of MIME, in lower case; NULL: only by its mark */
	bool (*detect)(
		const struct userdata_part *part); /* or NULL; asked for text without a type */
	void (*read)(struct userdata_reader *reader, const struct userdata_part *part,
		     const struct userdata_format *format);
	enum userdata_when when;
	const char *refused; /* read is userdata_refuse: what it is called */
	bool any_type;       /* its mark counts whatever the type */
};

/* Every format, ended by a row without read. */
extern const struct userdata_format userdata_formats[];

/* Reads one part: takes off what it is wrapped in, finds its format, reads that. */
void userdata_read_part(struct userdata_reader *reader, const struct userdata_part *part);

/* Reads a part inside parent, of which text, len and perhaps type, filename and merge are given: it gets a
 * number, a name and its place. */
void userdata_read_child(struct userdata_reader *reader, const struct userdata_part *parent,
			 const struct userdata_part *child);

/* True when the text begins with a mark. */
bool userdata_is_marked(const char *text, size_t len);

/* Reads a part that is YAML; NULL, with an error, when it is none or too large. */
struct doc_node *userdata_parse(struct userdata_reader *reader, const struct userdata_part *part);

/* True when the text begins with headers of MIME. */
bool userdata_is_mime(const struct userdata_part *part);

/* Reads MIME: a multipart, or one part with headers. */
void userdata_read_mime(struct userdata_reader *reader, const struct userdata_part *part,
			const struct userdata_format *format);

/* Reads what the URLs of #include give. Blocks. */
void userdata_read_include(struct userdata_reader *reader, const struct userdata_part *part,
			   const struct userdata_format *format);

/* Reads a #cloud-config-archive. */
void userdata_read_archive(struct userdata_reader *reader, const struct userdata_part *part,
			   const struct userdata_format *format);

/* Puts the instance's values into a template, then reads what comes out. */
void userdata_read_jinja(struct userdata_reader *reader, const struct userdata_part *part,
			 const struct userdata_format *format);

/* Says that the format of part is not supported. */
void userdata_refuse(struct userdata_reader *reader, const struct userdata_part *part,
		     const struct userdata_format *format);

/* Takes gzip and base64 off, in any order; false, with an error, when that cannot be done. */
bool userdata_decode(struct userdata_reader *reader, struct userdata_part *part);

/* Decodes base64 with any white space in it into the arena; false when it is none. The caller has bounded len. */
bool userdata_unbase64(struct userdata_reader *reader, const char *text, size_t len,
		       const char **ret, size_t *ret_len);

/* Counts len bytes of decoded data; false, with an error at place, when that is too much. */
bool userdata_count(struct userdata_reader *reader, const struct doc_place *place, size_t len);

/* Says that something that may hold settings cannot be read. */
void userdata_lost(struct userdata_reader *reader);

/* Merges the config of a part over those before it. Which value wins: see the file. */
void userdata_merge(struct userdata_reader *reader, struct doc_node *config,
		    const struct userdata_part *part);

/* Puts one map (or NULL) under another one, which is changed: what it has stays. */
struct doc_node *userdata_merge_under(struct mem_arena *arena, struct doc_node *over,
				      struct doc_node *under);

#endif
