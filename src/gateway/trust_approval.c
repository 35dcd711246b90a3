/*
 * Whose seal an approval has (protocol.md 1.5): the keys are those that the owner's own policy
 * lists, and no certificate, accreditation or word of a center counts beside them (D5). The keys
 * are read anew for each approval: few connections want one, and policies change.
 */
#include "gateway/trust.h"

#include <string.h>

#include "base/limits.h"
#include "model/approval.h"
#include "pki/seal.h"

/* Who it says that signed it, and why that does not count. */
static int refuse_approval(const struct site_policy *site, const char *sealed, struct err *err)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct approval *approval = mem_new(1, sizeof(*approval));
	struct key_id by;
	bool listed = false;

	if (seal_peek(sealed, strlen(sealed), APPROVAL_SEAL_TYPE, &payload, &by, err) != 0 ||
	        approval_parse(payload.bytes, payload.count, approval, err) != 0) {
		free(approval);
		return 1;
	}
	for (size_t i = 0; i < site_policy_approver_count(site); i++) {
		struct policy_approver approver;

		site_policy_approver_at(site, i, &approver);
		listed |= text_equal(approver.name, approval->approver);
	}
	if (listed) {
		err_set(err, 1, "not by the key of %s", approval->approver);
	} else {
		err_set(err, 1, "%s is none", approval->approver);
	}
	free(approval);
	return 1;
}

int trust_approval_open(void *context, const struct site_policy *site, const char *sealed,
        struct buf *payload, struct policy_approver *ret_approver, struct err *err)
{
	const struct key *keys[POLICY_APPROVERS_MAX], *by = NULL;
	size_t count = site_policy_approver_count(site);
	struct key *owned[POLICY_APPROVERS_MAX] = { 0 };
	int r = count <= POLICY_APPROVERS_MAX ? 0 : 1;

	for (size_t i = 0; r == 0 && i < count; i++) {
		site_policy_approver_at(site, i, ret_approver);
		r = key_parse_base64(ret_approver->spki, &owned[i], err);
		keys[i] = owned[i];
	}
	if (r == 0) {
		r = seal_open(
		        sealed, strlen(sealed), APPROVAL_SEAL_TYPE, keys, count, payload, &by, err);
	}
	for (size_t i = 0; i < count && i < POLICY_APPROVERS_MAX; i++) {
		if (r == 0 && keys[i] == by) {
			site_policy_approver_at(site, i, ret_approver);
		}
		key_free(owned[i]);
	}
	if (r == SEAL_UNKNOWN_KEY) {
		return refuse_approval(site, sealed, err);
	}
	return r == 0 ? 0 : 1;
}
