#include "naive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64

/* A statement as words. */
struct line {
	char bytes[2048];
	char *words[WORDS_MAX];
	int count;
};

/* Takes the next line; the random policies have no comments and no continued lines. */
static bool next_line(const char **text, struct line *line)
{
	size_t bytes = strcspn(*text, "\n");
	char *save = NULL;

	if (**text == '\0') {
		return false;
	}
	memcpy(line->bytes, *text, bytes);
	line->bytes[bytes] = '\0';
	*text += bytes + 1;
	line->count = 0;
	for (char *word = strtok_r(line->bytes, " ", &save); word;
	        word = strtok_r(NULL, " ", &save)) {
		line->words[line->count++] = word;
	}
	return true;
}

static bool is(const char *left, const char *right)
{
	return strcmp(left, right) == 0;
}

/* The word behind `keyword`, or NULL. */
static const char *after(const struct line *line, const char *keyword)
{
	for (int i = 1; i + 1 < line->count; i++) {
		if (is(line->words[i], keyword)) {
			return line->words[i + 1];
		}
	}
	return NULL;
}

static long seconds(const char *text)
{
	char *unit;
	long value = strtol(text, &unit, 10);

	return *unit == 'd'   ? value * 86400
	       : *unit == 'h' ? value * 3600
	       : *unit == 'm' ? value * 60
	                      : value;
}

/* Is `word` among the words between `start` and `end` (NULL: to the end)? */
static bool listed(const struct line *line, const char *start, const char *end, const char *word)
{
	bool inside = false;

	for (int i = 1; i < line->count; i++) {
		if (end && is(line->words[i], end)) {
			inside = false;
		}
		if (inside && is(line->words[i], word)) {
			return true;
		}
		if (is(line->words[i], start)) {
			inside = true;
		}
	}
	return false;
}

static bool ask_provider(const char *text, const struct naive_question *question)
{
	bool from = false, to = false;
	struct line line;

	while (next_line(&text, &line)) {
		if (is(line.words[0], "site")) {
			from |= is(line.words[1], question->from_site);
			to |= is(line.words[1], question->to_site);
		}
	}
	return from && to && !is(question->from_site, question->to_site);
}

static bool ask_group(const char *text, const struct naive_question *question)
{
	struct line line;

	while (next_line(&text, &line)) {
		if (is(line.words[0], "group") && !is(question->from_site, question->to_site) &&
		        listed(&line, "sites", "classes", question->from_site) &&
		        listed(&line, "sites", "classes", question->to_site) &&
		        listed(&line, "classes", NULL, question->class)) {
			return true;
		}
	}
	return false;
}

static void least(struct naive_answer *answer, long duration, long lease)
{
	answer->duration = duration < answer->duration ? duration : answer->duration;
	answer->lease = lease < answer->lease ? lease : answer->lease;
}

static bool ask_class(
        const char *text, const struct naive_question *question, struct naive_answer *answer)
{
	struct line line;

	while (next_line(&text, &line)) {
		if (is(line.words[0], "class") && is(line.words[1], question->class)) {
			long duration = after(&line, "duration") ? seconds(after(&line, "duration"))
			                                         : 86400;
			long lease = after(&line, "lease") ? seconds(after(&line, "lease")) : 60;

			if (question->duration > duration || question->lease > lease) {
				return false;
			}
			least(answer, duration, lease);
			return true;
		}
	}
	return false;
}

/* 100.64.N.M with N as the third number of the site's /24; the random policies know no others. */
static bool inside_prefix(const char *provider, const char *site, const char *address)
{
	struct line line;

	while (next_line(&provider, &line)) {
		int a, b, c, d, e, f, g, h, bits;

		if (is(line.words[0], "site") && is(line.words[1], site)) {
			sscanf(line.words[3], "%d.%d.%d.%d/%d", &a, &b, &c, &d, &bits);
			sscanf(address, "%d.%d.%d.%d", &e, &f, &g, &h);
			return a == e && b == f && c == g;
		}
	}
	return false;
}

static bool port_listed(const char *ports, int port)
{
	while (*ports) {
		char *end;
		long first = strtol(ports, &end, 10), last = first;

		if (*end == '-') {
			last = strtol(end + 1, &end, 10);
		}
		if (port >= first && port <= last) {
			return true;
		}
		ports = *end == ',' ? end + 1 : end;
	}
	return false;
}

static bool reference_is(const char *word, const char *own, const char *site, const char *host)
{
	char full[160];
	const char *slash;

	snprintf(full, sizeof(full), strchr(word, '/') ? "%.0s%s" : "%s/%s", own, word);
	slash = strchr(full, '/');
	return strncmp(full, site, (size_t)(slash - full)) == 0 &&
	       strlen(site) == (size_t)(slash - full) &&
	       (is(slash + 1, "*") || is(slash + 1, host));
}

static bool ask_site(const char *provider, const char *text, bool initiator,
        const struct naive_question *question, struct naive_answer *answer)
{
	const char *own = initiator ? question->from_site : question->to_site;
	const char *own_host = initiator ? question->from_host : question->to_host;
	char *rule = initiator ? answer->from_rule : answer->to_rule;
	long best = -1, best_lease = 0;
	bool host_ok = false;
	struct line line;

	while (next_line(&text, &line)) {
		if (is(line.words[0], "site") && !is(line.words[1], own)) {
			return false;
		}
		if (is(line.words[0], "host") && is(line.words[1], own_host)) {
			host_ok = !provider || inside_prefix(provider, own, line.words[5]);
		}
		if (is(line.words[0], "allow") &&
		        reference_is(after(&line, "from"), own, question->from_site,
		                question->from_host) &&
		        reference_is(
		                after(&line, "to"), own, question->to_site, question->to_host) &&
		        is(after(&line, "class"), question->class) &&
		        is(after(&line, "protocol"), question->protocol) &&
		        (is(question->protocol, "icmp")
		                        ? question->port == 0
		                        : port_listed(after(&line, "port"), question->port))) {
			long duration = after(&line, "duration") ? seconds(after(&line, "duration"))
			                                         : 86400;
			long lease = after(&line, "lease") ? seconds(after(&line, "lease")) : 300;

			if (duration > best && duration >= question->duration &&
			        lease >= question->lease) {
				best = duration;
				best_lease = lease;
				strcpy(rule, line.words[1]);
			}
		}
	}
	if (best < 0 || !host_ok) {
		rule[0] = '\0';
		return false;
	}
	least(answer, best, best_lease);
	return true;
}

struct naive_answer naive_decide(const char *provider, const char *from_policy,
        const char *to_policy, const struct naive_question *question)
{
	struct naive_answer answer = { .duration = 86400, .lease = 300 };

	if (question->duration > 0) {
		least(&answer, question->duration, 300);
	}
	if (question->lease > 0) {
		least(&answer, 86400, question->lease);
	}
	answer.provider = provider && ask_provider(provider, question);
	answer.group = provider && ask_group(provider, question);
	answer.class = provider && ask_class(provider, question, &answer);
	answer.from = from_policy && ask_site(provider, from_policy, true, question, &answer);
	answer.to = to_policy && ask_site(provider, to_policy, false, question, &answer);
	return answer;
}
