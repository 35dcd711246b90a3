/* Any bytes as a grant and as a lease. What is accepted is well-formed and prints to the same
 * bytes, so no two payloads mean the same. */
#include <stdlib.h>
#include <string.h>

#include "model/grant.h"
#include "model/lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf out = BUF(1 << 20);
	struct err err = { "" };
	struct grant grant;
	struct lease lease;

	if (grant_parse(data, size, &grant, &err) == 0) {
		assert_always(grant_check(&grant, &err) == 0);
		assert_always(protocol_port_valid(grant.protocol, grant.port));
		grant_print(&grant, &out);
		assert_always(out.count == size && memcmp(out.bytes, data, size) == 0);
	} else {
		assert_always(err.text[0] != '\0');
	}
	buf_reset(&out);
	if (lease_parse(data, size, &lease, &err) == 0) {
		assert_always(lease.ttl_sec >= 1 && lease.ttl_sec <= LEASE_SEC_MAX);
		lease_print(&lease, &out);
		assert_always(out.count == size && memcmp(out.bytes, data, size) == 0);
	}
	return 0;
}
