/*
 * Which ESP a gateway uses: the kernel's, with one xfrm interface per peer, or charon's own
 * (kernel-libipsec) behind a TUN device. Found out by trying: a state is added and deleted again,
 * an interface made and removed. Needs CAP_NET_ADMIN.
 */
#pragma once

#include "base/err.h"

enum dataplane { DATAPLANE_AUTO, DATAPLANE_KERNEL, DATAPLANE_USERSPACE };

#define DATAPLANE_TUNNEL_USERSPACE "ipsec0" /* fixed by kernel-libipsec */
#define DATAPLANE_TUNNEL_KERNEL "skx*"      /* interfaces skx1, skx2, …: nft wildcard */
#define DATAPLANE_TUNNEL_PREFIX "skx"

const char *dataplane_name(enum dataplane dataplane); /* auto, kernel, libipsec */
/* Outcome 1: no such word. */
int dataplane_parse(const char *text, enum dataplane *ret) must_use;

struct dataplane_choice {
	enum dataplane dataplane; /* KERNEL or USERSPACE */
	const char *tunnel;       /* interface name pattern for the packet filter; static */
	char why[256];            /* one sentence */
};

/* Outcome 1: what is wanted (or, with AUTO, either) is not possible here; err says why. */
int dataplane_choose(
        enum dataplane wanted, struct dataplane_choice *ret_choice, struct err *err) must_use;
