/* Any bytes as an approval, as terms and as a deletion certificate. What is accepted is well-formed
 * and prints to the same bytes, so no two payloads mean the same. */
#include <string.h>

#include "model/approval.h"
#include "model/deletion.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf out = BUF(1 << 20);
	struct err err = { "" };
	struct approval approval;
	struct work_terms terms;
	struct deletion deletion;

	if (approval_parse(data, size, &approval, &err) == 0) {
		assert_always(approval_check(&approval, &err) == 0);
		assert_always(work_terms_check(&approval.terms, &err) == 0);
		assert_always(strcmp(approval.approver, approval.terms.worker) != 0);
		approval_print(&approval, &out);
		assert_always(out.count == size && memcmp(out.bytes, data, size) == 0);
	} else {
		assert_always(err.text[0] != '\0');
	}
	buf_reset(&out);
	if (work_terms_parse(data, size, &terms, &err) == 0) {
		assert_always(terms.target_count >= 1 && terms.target_count <= WORK_TARGETS_MAX);
		assert_always(work_terms_has(&terms, &terms.targets[0]));
		work_terms_print(&terms, &out);
		assert_always(out.count == size && memcmp(out.bytes, data, size) == 0);
	}
	buf_reset(&out);
	if (deletion_parse(data, size, &deletion, &err) == 0) {
		assert_always(deletion_check(&deletion, &err) == 0);
		deletion_print(&deletion, &out);
		assert_always(out.count == size && memcmp(out.bytes, data, size) == 0);
	}
	return 0;
}
