/* What the kernel says is read as if it were hostile. Oracles: reading always moves on and ends,
 * texts are printable, errors are errnos, and what is taken for a lease survives being encoded
 * again. */
#include <stdlib.h>
#include <string.h>

#include "wire/conntrack.h"
#include "wire/nft.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_text(const char *text, size_t room)
{
	size_t count = strnlen(text, room);

	assert_always(count < room);
	for (size_t i = 0; i < count; i++) {
		assert_always((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
	}
}

static void check_lease(const struct nft_lease *lease)
{
	struct nft_batch batch;
	struct nft_message message;
	struct nft_element element;
	struct nft_lease again;
	const uint8_t *at;
	size_t left;
	unsigned found = 0;

	if (lease->mark == 0 || lease->port == 0) {
		return;
	}
	nft_batch_start(&batch, "t", 1);
	nft_lease_set(&batch, "m", lease, 1000);
	nft_batch_end(&batch);
	at = batch.out.bytes;
	left = batch.out.count;
	while (nft_message_next(&at, &left, &message) == 0) {
		if (message.kind != NFT_ELEMENTS) {
			continue;
		}
		assert_always(nft_element_next(&message, &element) == 0);
		assert_always(nft_element_lease(&element, &again) == 0);
		assert_always(ip_equal(again.source, lease->source) &&
		              ip_equal(again.destination, lease->destination) &&
		              again.protocol == lease->protocol && again.port == lease->port &&
		              again.mark == lease->mark && element.timeout_msec == 1000);
		found++;
	}
	assert_always(found == 2 && left == 0);
	nft_batch_clear(&batch);
}

static void read_nft(const uint8_t *at, size_t left)
{
	struct nft_message message;
	size_t before = left;

	while (nft_message_next(&at, &left, &message) == 0) {
		struct nft_element element;
		struct nft_lease lease;
		struct nft_pair pair;

		assert_always(left < before && message.error <= 0 && message.error >= -4095);
		before = left;
		check_text(message.table, sizeof(message.table));
		check_text(message.set, sizeof(message.set));
		check_text(message.process, sizeof(message.process));
		while (nft_element_next(&message, &element) == 0) {
			assert_always(element.key_bytes <= sizeof(element.key));
			if (nft_element_lease(&element, &lease) == 0) {
				assert_always(nft_element_pair(&element, &pair) == 1);
				check_lease(&lease);
			}
		}
	}
}

static void read_conntrack(const uint8_t *at, size_t left)
{
	struct conntrack_flow flow;
	size_t before = left;

	while (conntrack_next(&at, &left, &flow) == 0) {
		assert_always(left < before && flow.error <= 0 && flow.error >= -4095);
		before = left;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	/* Memory of its own: aligned, and its end is watched. */
	uint8_t *copy = mem_copy(bytes, count);

	read_nft(copy, count);
	read_conntrack(copy, count);
	free(copy);
	return 0;
}
