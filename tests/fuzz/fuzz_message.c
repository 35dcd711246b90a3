/* Frames between front and core. What is taken is packed again to the same bytes, and every text in
 * it ends inside of the frame. */
#include <stdlib.h>
#include <string.h>

#include "center/message.h"

static void check_text(const char *text, const uint8_t *data, size_t size)
{
	const uint8_t *start = (const uint8_t *)text;

	if (start >= data && start < data + size &&
	        !memchr(start, '\0', (size_t)(data + size - start))) {
		abort();
	}
}

static void check_same(const struct buf *again, const uint8_t *data, size_t size)
{
	if (again->count != size || memcmp(again->bytes, data, size) != 0) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf again = BUF(1 << 22);
	struct request request;
	struct answer answer;

	if (request_unpack(data, size, &request) == 0) {
		check_text(request.path, data, size);
		check_text(request.device_information, data, size);
		request_pack(&request, &again);
		check_same(&again, data, size);
	}
	buf_reset(&again);
	if (answer_unpack(data, size, &answer) == 0) {
		check_text(answer.content_type, data, size);
		answer_pack(&answer, &again);
		check_same(&again, data, size);
	}
	return 0;
}
