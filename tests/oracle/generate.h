/*
 * Worlds for the comparison: one provider policy and two site policies as texts, made from a seed,
 * and what is worth asking about them. A world has a few themes (two hosts, a class, a protocol and
 * ports) that all three policies speak of, so that rules meet often enough; the words of each rule
 * are drawn apart, so that they differ at every point of the language.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEN_TEXT 16384
#define GEN_SITES 4
#define GEN_HOSTS 4
#define GEN_THEMES 6
#define GEN_LIST 32

struct gen_text {
	size_t count;
	char text[GEN_TEXT];
};

struct gen_theme {
	int hosts[2]; /* of the two sites; -1: another than those of the policy */
	int class, protocol;
	char ports[64]; /* "" with icmp */
};

struct gen_host {
	char name[16], zone[8], service[48];
};

/* Opening hours of a site, as they were written. */
struct gen_hours {
	int from, to; /* minutes */
	char name[16];
};

struct gen_world {
	uint64_t random;
	int sites[2]; /* numbers of the two sites whose policies are written, of GEN_SITES */
	struct gen_text provider, site[2];
	struct gen_host hosts[2][GEN_HOSTS];
	int host_count[2];
	int theme_count;
	struct gen_theme themes[GEN_THEMES];
	int class_count, classes[12]; /* that the provider offers */
	/* What lies near a boundary. */
	int duration_count, port_count, lease_count, hours_count[2];
	int64_t durations[GEN_LIST], leases[GEN_LIST];
	int ports[GEN_LIST];
	struct gen_hours hours[2][8];
	int64_t offset[2];  /* seconds */
	int64_t holiday[2]; /* days since 1970 of one of the holidays, or 0 */
};

extern const char *const gen_site_names[GEN_SITES];
extern const char *const gen_class_names[12];
extern const char *const gen_protocol_names[3]; /* tcp, udp, icmp */

uint64_t gen_random(uint64_t *state);
/* 0 to below - 1. */
int gen_below(struct gen_world *world, int below);
bool gen_chance(struct gen_world *world, int percent);
/* The bias to boundaries: the value, or one of its neighbours. */
int64_t gen_near(struct gen_world *world, int64_t value, int64_t step);

/* Writes the texts. The same seed writes the same. */
void gen_world_make(struct gen_world *world, uint64_t seed);

/* Adds a line to one of the three texts that the page refuses; *which is 0 for the provider's, 1
 * and 2 for the sites'. Returns the line as its pattern. */
const char *gen_world_spoil(struct gen_world *world, int *which);
