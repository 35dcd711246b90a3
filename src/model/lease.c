#include "model/lease.h"

#include <string.h>

#include "base/clock.h"
#include "wire/json.h"

struct lease_fields {
	struct lease lease;
	uint64_t v, ttl_sec;
};

static const struct json_field lease_fields[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct lease_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("grant", FIELD_ID, struct lease_fields, lease.grant), .required = true },
	{ JSON_FIELD("provider", FIELD_NAME, struct lease_fields, lease.provider),
	        .required = true },
	{ JSON_FIELD("epoch", FIELD_COUNT, struct lease_fields, lease.epoch), .required = true },
	{ JSON_FIELD("seq", FIELD_COUNT, struct lease_fields, lease.seq), .required = true,
	        .min = 1 },
	{ JSON_FIELD("issued_at", FIELD_TIME, struct lease_fields, lease.issued_at),
	        .required = true },
	{ JSON_FIELD("ttl_sec", FIELD_COUNT, struct lease_fields, ttl_sec), .required = true,
	        .min = 1, .max = LEASE_SEC_MAX },
	{ 0 },
};

int lease_parse(const void *payload, size_t count, struct lease *ret_lease, struct err *err)
{
	AUTO_BUF struct buf canonical = BUF(JSON_BYTES_MAX);
	struct lease_fields fields = { 0 };
	int r;

	r = json_read(payload, count, lease_fields, &fields, NULL, err);
	if (r != 0) {
		return r;
	}
	fields.lease.ttl_sec = (uint32_t)fields.ttl_sec;
	lease_print(&fields.lease, &canonical);
	if (canonical.count != count || memcmp(canonical.bytes, payload, count) != 0) {
		return err_set(err, 1, "the lease is not in its canonical form");
	}
	*ret_lease = fields.lease;
	return 0;
}

void lease_print(const struct lease *lease, struct buf *out)
{
	AUTO_JSON json_t *tree = json_pack("{s:i, s:s, s:s, s:I, s:I, s:s, s:I}", "v", 1, "grant",
	        lease->grant.text, "provider", lease->provider, "epoch", (json_int_t)lease->epoch,
	        "seq", (json_int_t)lease->seq, "issued_at", time_print(lease->issued_at).text,
	        "ttl_sec", (json_int_t)lease->ttl_sec);

	assert_always(tree != NULL);
	json_print(tree, out);
}

int64_t lease_left_msec(
        const struct lease *lease, uint32_t grant_lease_sec, int64_t not_after, int64_t now)
{
	int64_t age = now > lease->issued_at ? now - lease->issued_at : 0;
	int64_t left = lease->ttl_sec * USEC_PER_SEC - age;

	if (left > grant_lease_sec * USEC_PER_SEC) {
		left = grant_lease_sec * USEC_PER_SEC;
	}
	if (left > not_after - now) {
		left = not_after - now;
	}
	return left > 0 ? left / USEC_PER_MSEC : 0;
}
