/*
 * SHA-256, and the two hashes of an RFC 6962 tree: a leaf and a node never hash alike, because each
 * has its own first byte (RFC 6962 2.1).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32

struct hash {
	uint8_t bytes[HASH_BYTES];
};

/* SHA-256 of the bytes. */
struct hash hash_of(const void *bytes, size_t count);

/* SHA-256(0x00 || entry). */
struct hash hash_leaf(const void *entry, size_t count);

/* SHA-256(0x01 || left || right). */
struct hash hash_node(const struct hash *left, const struct hash *right);

bool hash_equal(const struct hash *left, const struct hash *right);
