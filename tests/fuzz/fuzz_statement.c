/*
 * Payloads of accreditation statements and device information: what is accepted prints as the same
 * bytes, so there is one spelling of each.
 */
#include <string.h>

#include "pki/device_information.h"
#include "pki/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	AUTO(statement) struct statement *statement = NULL;
	AUTO_BUF struct buf again = BUF(JWS_SMALL_BYTES_MAX);
	struct device_information information;

	if (statement_parse((const char *)bytes, count, &statement, NULL) == 0) {
		statement_print(statement, &again);
		assert_always(again.count == count && memcmp(again.bytes, bytes, count) == 0);
		assert_always(statement->seq > 0 && statement->not_before < statement->not_after);
	}
	buf_reset(&again);
	if (device_information_parse((const char *)bytes, count, &information, NULL) == 0) {
		device_information_print(&information, &again);
		assert_always(again.count == count && memcmp(again.bytes, bytes, count) == 0);
	}
	return 0;
}
