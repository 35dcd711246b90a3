#include "ctl/connection.h"

#include "base/str.h"
#include "ctl/api.h"

const char *const connection_protocols[] = { "tcp", "udp", "icmp", NULL };

int connection_request_of(struct ctl *ctl, struct policy_request *ret_request)
{
	struct policy_request *request = ret_request;
	const char *class = ctl_text(ctl, "class");

	*request = (struct policy_request){ .port = (uint16_t)ctl_count(ctl, "port"),
		.duration_sec = ctl_seconds(ctl, "duration") };
	if (host_ref_parse(ctl_text(ctl, "from"), &request->from) != 0 ||
	        host_ref_parse(ctl_text(ctl, "to"), &request->to) != 0 ||
	        protocol_parse(ctl_text(ctl, "protocol"), &request->protocol) != 0) {
		return CTL_USAGE; /* cannot be: the table has checked them */
	}
	if (service_class_parse(class, &request->class) != 0) {
		AUTO_BUF struct buf words = BUF(ERR_TEXT_BYTES_MAX);

		for (int i = 1; i < SERVICE_CLASS_COUNT; i++) {
			buf_add_format(&words, "%s%s", i == 1 ? "" : ", ",
			        service_class_name((enum service_class)i));
		}
		return ctl_fail(ctl, CTL_USAGE,
		        "--class: there is no service class \"%s\"; there are %s", class,
		        buf_text(&words));
	}
	if (!protocol_port_valid(request->protocol, request->port)) {
		return ctl_fail(ctl, CTL_USAGE, "--port: %s",
		        request->protocol == PROTOCOL_ICMP ? "icmp has none"
		                                           : "tcp and udp need one");
	}
	return CTL_OK;
}

int policy_fetch(struct ctl *ctl, const char *site, struct policy_file *ret_file)
{
	AUTO_STRING char *path =
	        site ? mem_format("/policies/site/%s", site) : mem_string("/policies/provider");
	AUTO_JSON json_t *answer = NULL;
	const json_t *sealed;
	int r = api_get(ctl, path, &answer);

	if (r != CTL_OK) {
		return r;
	}
	sealed = json_object_get(answer, "policy");
	if (!json_is_string(sealed)) {
		return ctl_fail(ctl, CTL_UNREACHABLE, "the center's answer holds no policy");
	}
	return policy_file_parse(
	        ctl, path, json_string_value(sealed), json_string_length(sealed), ret_file);
}
