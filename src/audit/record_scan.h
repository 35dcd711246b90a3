/* What record.c and record_scan.c share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Objects and arrays in each other in `data` and `actor`, the outermost included. */
#define RECORD_DEPTH_MAX 10

/* May a byte stand in a key? Printable ASCII but quote and backslash. */
static inline bool record_key_byte(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}
