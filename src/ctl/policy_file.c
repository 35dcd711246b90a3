#include "ctl/policy_file.h"

#include <string.h>

#include "base/str.h"
#include "pki/seal.h"

/* Which kind a text is: the second word of its first statement. The parser then says what is wrong
 * with it. */
static bool is_provider_text(const char *text)
{
	static const char word[] = "provider-policy";

	while (*text) {
		size_t line = strcspn(text, "\n");
		size_t blanks = strspn(text, " \t");

		if (blanks < line && text[blanks] != '#') {
			const char *found = memmem(text, line, word, sizeof(word) - 1);

			return found && text_starts(text, "sekisho");
		}
		text += line + (text[line] == '\n');
	}
	return false;
}

static int take_off_seal(struct ctl *ctl, const void *bytes, size_t count, struct policy_file *file)
{
	int r = seal_peek(bytes, count, POLICY_TYP_SITE, &file->text, &file->sealed_by, &ctl->err);

	if (r == SEAL_WRONG_TYPE) {
		ctl->err = (struct err){ 0 };
		buf_reset(&file->text);
		r = seal_peek(bytes, count, POLICY_TYP_PROVIDER, &file->text, &file->sealed_by,
		        &ctl->err);
	}
	return r;
}

int policy_file_parse(struct ctl *ctl, const char *name, const void *bytes, size_t count,
        struct policy_file *ret_file)
{
	struct policy_file *file = ret_file;
	int r = 0;

	*file = (struct policy_file){ .text = BUF(POLICY_TEXT_BYTES_MAX),
		.sealed = count > 4 && memcmp(bytes, "eyJh", 4) == 0 };
	if (file->sealed) {
		r = take_off_seal(ctl, bytes, count, file);
	} else {
		buf_add(&file->text, bytes, count);
		if (file->text.overflowed) {
			r = err_set(&ctl->err, 1, "longer than a policy may be (%d bytes)",
			        POLICY_TEXT_BYTES_MAX);
		}
	}
	if (r == 0 && is_provider_text(buf_text(&file->text))) {
		r = provider_policy_parse(
		        buf_text(&file->text), file->text.count, &file->provider, &ctl->err);
	} else if (r == 0) {
		r = site_policy_parse(
		        buf_text(&file->text), file->text.count, &file->site, &ctl->err);
	}
	if (r != 0) {
		policy_file_clear(file);
		return err_wrap(&ctl->err, ctl_result(ctl, r), "%s", name);
	}
	return CTL_OK;
}

int policy_file_read(struct ctl *ctl, const char *path, struct policy_file *ret_file)
{
	AUTO_BUF struct buf bytes = BUF(JWS_BYTES_MAX);
	int r = material_read(ctl, path, &bytes);
	size_t count = bytes.count;

	if (r != CTL_OK) {
		return r;
	}
	if (count > 4 && memcmp(bytes.bytes, "eyJh", 4) == 0) {
		while (count > 0 && strchr(" \t\r\n", bytes.bytes[count - 1])) {
			count--;
		}
	}
	return policy_file_parse(ctl, path, buf_text(&bytes), count, ret_file);
}

void policy_file_clear(struct policy_file *file)
{
	site_policy_free(file->site);
	provider_policy_free(file->provider);
	buf_clear(&file->text);
	*file = (struct policy_file){ 0 };
}

const char *policy_file_kind(const struct policy_file *file)
{
	return file->site ? "site" : "provider";
}

const char *policy_file_typ(const struct policy_file *file)
{
	return file->site ? POLICY_TYP_SITE : POLICY_TYP_PROVIDER;
}

const char *policy_file_owner(const struct policy_file *file)
{
	return file->site ? site_policy_site(file->site) : provider_policy_provider(file->provider);
}

uint64_t policy_file_version(const struct policy_file *file)
{
	return file->site ? site_policy_version(file->site)
	                  : provider_policy_version(file->provider);
}

int policy_file_check(
        struct ctl *ctl, const struct policy_file *file, uint64_t active_version, const char *path)
{
	int r = file->site ? site_policy_check(file->site, active_version, &ctl->err)
	                   : provider_policy_check(file->provider, active_version, &ctl->err);

	return r == 0 ? CTL_OK : err_wrap(&ctl->err, ctl_result(ctl, r), "%s", path);
}
