#include "center/procedure.h"

static const struct {
	uint64_t before; /* the steps that must be done */
	const char *title, *record;
} steps_table[PROCEDURE_STEP_COUNT] = {
	[PROCEDURE_JOIN] = { 0, "application to join", "application.join" },
	[PROCEDURE_PURCHASE] = { 0, "order of the gateway", "application.purchase" },
	[PROCEDURE_REGISTER] = { 0x003, "registration of the device", "device.registered" },
	[PROCEDURE_CERTIFICATE] = { 0x007, "device certificate", "device.certificate-issued" },
	[PROCEDURE_INSTALLED] = { 0x00f, "device certificate on the token", "device.installed" },
	[PROCEDURE_DELIVERED] = { 0x01f, "delivery of the gateway", "device.delivered" },
	[PROCEDURE_USE] = { 0x03f, "application for use", "application.use" },
	[PROCEDURE_REQUESTED] = { 0x07f, "request for a service certificate",
	        "service.certificate-requested" },
	[PROCEDURE_ISSUED] = { 0x0ff, "service certificate", "service.certificate-issued" },
	[PROCEDURE_LOADED] = { 0x1ff, "service certificate on the token",
	        "service.certificate-installed" },
	[PROCEDURE_CONNECTION] = { 0x3ff, "first request for a connection",
	        "connection.requested" },
	[PROCEDURE_SERVICE] = { 0x7ff, "first connection", "service.provided" },
};

int procedure_check(uint64_t steps, enum procedure_step step, struct err *err)
{
	uint64_t missing;

	assert_always(step < PROCEDURE_STEP_COUNT);
	if (steps & PROCEDURE_BIT(step)) {
		return PROCEDURE_DONE_ALREADY;
	}
	missing = steps_table[step].before & ~steps;
	if (missing) {
		enum procedure_step first = (enum procedure_step)__builtin_ctzll(missing);

		return err_set(err, PROCEDURE_OUT_OF_ORDER,
		        "step %c (%s) needs step %c (%s), which is not done",
		        procedure_letter(step), steps_table[step].title, procedure_letter(first),
		        steps_table[first].title);
	}
	return 0;
}

char procedure_letter(enum procedure_step step)
{
	return (char)('a' + (int)step);
}

const char *procedure_title(enum procedure_step step)
{
	return steps_table[step].title;
}

const char *procedure_record(enum procedure_step step)
{
	return steps_table[step].record;
}
