/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the look at user-data: what is right passes, what is wrong is told with its place.
 */
#include "base/mem.h"
#include "seed/check.h"
#include "tap.h"

static const struct row {
	const char *text;
	const char *want; /* part of the problems; NULL: it is right */
} rows[] = {
	{"#cloud-config\nhostname: m1\n", NULL},
	{"#cloud-config\r\nhostname: m1\r\n", NULL},
	{"#cloud-config\n", NULL},
	{"#cloud-config", NULL},
	{"#cloud-config # a comment\na: 1\n", NULL},
	{"#cloud-config-archive\n- type: text/cloud-config\n", NULL},
	{"#cloud-boothook\n#!/bin/sh\n", NULL},
	{"#include\nhttps://example.com/a\n", NULL},
	{"#include-once\nhttps://example.com/a\n", NULL},
	{"#!/bin/sh\necho\n", NULL},
	{"#! /bin/sh", NULL},
	{"## template: jinja\n#cloud-config\n{% if x %}\n", NULL},
	{"Content-Type: multipart/mixed; boundary=x\n\n", NULL},
	{"MIME-Version: 1.0\n", NULL},
	{"\x1f\x8b\x08", NULL},
	{"I2Nsb3VkLWNvbmZpZwphOiAxCg==", NULL},
	{"I2Nsb3VkLWNv\nbmZpZwphOiAxCg==\n", NULL},

	{"", "u:1:1: error: the file is empty"},
	{"hostname: m1\n", "YAML needs '#cloud-config' as its first line"},
	{"# cloud-config\n", "u:1:1: note: did you mean '#cloud-config'?"},
	{"#Cloud-Config\n", "did you mean '#cloud-config'?"},
	{"#cloudconfig\n", "did you mean '#cloud-config'?"},
	{"#cloud-configs\n", "did you mean '#cloud-config'?"},
	{"\n#cloud-config\n", "u:1:1: error: the first line does not say what this is"},
	{"\xef\xbb\xbf#cloud-config\n", "u:1:1: error: a byte order mark"},
	{"#cloud-config\na: [1\n", "u:3:1: error: not valid YAML"},
	{"#cloud-config\na: 1\n\tb: 2\n", "u:3:1: error: not valid YAML"},
	{"#cloud-config\na: 1\na: 2\n", "u:3:1: error: "},
	{"#cloud-config\n- a\n", "u:2:1: error: expected keys with values, this is a list"},
	{"#cloud-config\ntext\n", "u:2:1: error: expected keys with values, this is text"},
	{"#cloud-config-archive\na: 1\n", "u:2:1: error: expected a list of parts, this is a map"},
	{"#cloud-config\na: \x01\n", "u:2:4: error: not a text file"},
	{"#!\n", "u:1:3: error: '#!' needs the path of a program"},
	{"#!sh\n", "u:1:3: error: '#!' needs the path"},
	{"#!/bin/sh\r\necho\r\n", "u:1:10: error: lines end with a carriage return"},
	{"#part-handler\n", "part handlers are Python"},
	{"{\"ignition\": {}}", "u:1:1: error: this is JSON, perhaps for Ignition"},
	/* "#cloud-config\n- a\n" */
	{"I2Nsb3VkLWNvbmZpZwotIGEK", "u:2:1: error: expected keys"},
	{"AAAA", "u:1:1: error: the first line"},
};

TEST(user_data)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(str_free) struct str text = {0};
		size_t count = seed_check_user_data("u", rows[i].text, strlen(rows[i].text), &text);

		if (!rows[i].want && (count || text.len))
			FAIL("'%s' is refused: %s", rows[i].text, text.data);
		if (rows[i].want && (!count || !text.data || !strstr(text.data, rows[i].want)))
			FAIL("'%s': got %s, want %s", rows[i].text, text.data, rows[i].want);
	}
}

TEST(bytes_that_are_no_text)
{
	CLEANUP(str_free) struct str text = {0};

	CHECK(seed_check_user_data("u", "\0\0\0\0", 4, &text) == 1);
	CHECK(seed_check_user_data("u", "#cloud-config\na: \0", 18, &text) == 1);
	CHECK(seed_check_user_data("u", NULL, 0, &text) == 1);
}

TEST(network)
{
	static const struct row list[] = {
		{"version: 2\nethernets: {}\n", NULL},
		{"network:\n  version: 1\n  config: []\n", NULL},
		{"version: 3\n", "n:1:10: error: expected 'version: 2' (or 1)"},
		{"network: {}\n", "n:1:10: error: expected 'version"},
		{"ethernets: {}\n", "n:1:1: error: expected 'version"},
		{"- a\n", "n:1:1: error: expected keys with values, this is a list"},
		{"", "n:1:1: error: expected keys with values"},
		{"a: {\n", "error: not valid YAML"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		CLEANUP(str_free) struct str text = {0};
		size_t count = seed_check_network("n", list[i].text, strlen(list[i].text), &text);

		if (!list[i].want != !count || (count && !strstr(text.data, list[i].want)))
			FAIL("'%s': got %s", list[i].text, text.data);
	}
}

TEST(sizes)
{
	static const size_t sizes[] = {16384, 16385, 49150, 262145};
#define TWO "EC2 takes 16 KiB, Azure and OpenStack take 64 KiB of base64 (48 KiB)"
	static const char *const wants[] = {"", "EC2 takes 16 KiB", TWO,
					    (TWO ", GCE takes 256 KiB")};
#undef TWO

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(str_free) struct str text = {0};

		seed_check_size(sizes[i], &text);
		CHECK_STR(text.data ? text.data : "", wants[i]);
	}
}
