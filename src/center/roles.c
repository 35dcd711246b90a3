#include "center/roles.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const struct {
	const char *word; /* with a colon when a name follows */
	enum role role;
} words[] = {
	{ "provider", ROLE_PROVIDER },
	{ "site:", ROLE_SITE },
	{ "maker:", ROLE_MAKER },
	{ "device-ca", ROLE_DEVICE_CA },
	{ "auditor", ROLE_AUDITOR },
};

static int parse_word(const char *text, struct roles *roles, struct err *err)
{
	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		size_t count = strlen(words[i].word);
		bool named = words[i].word[count - 1] == ':';

		if (named ? !text_starts(text, words[i].word) || !name_valid(text + count)
		          : !text_equal(text, words[i].word)) {
			continue;
		}
		if (roles->count == ROLES_COUNT_MAX) {
			return err_set(err, 1, "there are more than %d roles", ROLES_COUNT_MAX);
		}
		roles->items[roles->count].role = words[i].role;
		if (named) {
			memcpy(roles->items[roles->count].name, text + count,
			        strlen(text + count) + 1);
		}
		roles->count++;
		roles->set |= words[i].role;
		return 0;
	}
	return err_set(err, 1,
	        "\"%.80s\" is not a role (provider, site:NAME, maker:NAME, device-ca, auditor)",
	        text);
}

int roles_parse(const char *text, struct roles *ret_roles, struct err *err)
{
	AUTO_STRING char *copy = mem_string(text);
	char *rest = copy, *word;
	int r = 0;

	*ret_roles = (struct roles){ 0 };
	while (r == 0 && (word = strsep(&rest, " "))) {
		r = parse_word(word, ret_roles, err);
	}
	return r;
}

bool roles_any(const struct roles *roles, unsigned allowed)
{
	return (roles->set & allowed) != 0;
}

static bool roles_of(const struct roles *roles, enum role role, const char *name)
{
	if (roles->set & ROLE_PROVIDER) {
		return true;
	}
	for (size_t i = 0; i < roles->count; i++) {
		if (roles->items[i].role == role && text_equal(roles->items[i].name, name)) {
			return true;
		}
	}
	return false;
}

bool roles_of_site(const struct roles *roles, const char *site)
{
	return roles_of(roles, ROLE_SITE, site) ||
	       (roles->owns && roles->owns(roles->context, site));
}

bool roles_of_maker(const struct roles *roles, const char *maker)
{
	return roles_of(roles, ROLE_MAKER, maker);
}

const char *roles_name(const struct roles *roles, enum role role)
{
	const char *name = NULL;

	for (size_t i = 0; i < roles->count; i++) {
		if (roles->items[i].role == role) {
			if (name) {
				return NULL;
			}
			name = roles->items[i].name;
		}
	}
	return name;
}
