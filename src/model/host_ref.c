#include "model/host_ref.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

int host_ref_parse(const char *text, struct host_ref *ret_ref)
{
	const char *slash = strchr(text, '/');
	struct host_ref ref = { 0 };

	if (!slash || (size_t)(slash - text) > NAME_BYTES_MAX) {
		return 1;
	}
	memcpy(ref.site, text, (size_t)(slash - text));
	if (!name_valid(ref.site) || !name_valid(slash + 1)) {
		return 1;
	}
	memcpy(ref.host, slash + 1, strlen(slash + 1));
	*ret_ref = ref;
	return 0;
}

int host_ref_parse_at(const char *text, const char *own_site, struct host_ref *ret_ref)
{
	struct host_ref ref = { 0 };

	if (strchr(text, '/')) {
		return host_ref_parse(text, ret_ref);
	}
	if (!name_valid(text) || !name_valid(own_site)) {
		return 1;
	}
	memcpy(ref.site, own_site, strlen(own_site));
	memcpy(ref.host, text, strlen(text));
	*ret_ref = ref;
	return 0;
}

struct host_ref_text host_ref_print(const struct host_ref *ref)
{
	struct host_ref_text out;

	snprintf(out.text, sizeof(out.text), "%s/%s", ref->site, ref->host);
	return out;
}

bool host_ref_equal(const struct host_ref *left, const struct host_ref *right)
{
	return strcmp(left->site, right->site) == 0 && strcmp(left->host, right->host) == 0;
}
