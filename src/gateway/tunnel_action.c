/* The action list of the tunnel machine: memory and names. */
#include <string.h>

#include "gateway/tunnel.h"

static void action_clear(struct tunnel_action *action)
{
	buf_clear(&action->record);
	if (action->peer) {
		free(action->peer->children);
		free(action->peer);
	}
}

void tunnel_actions_reset(struct tunnel_actions *actions)
{
	for (size_t i = 0; i < actions->count; i++) {
		action_clear(&actions->items[i]);
	}
	actions->count = 0;
}

void tunnel_actions_clear(struct tunnel_actions *actions)
{
	tunnel_actions_reset(actions);
	free(actions->items);
	*actions = (struct tunnel_actions){ 0 };
}

const char *tunnel_report_name(enum tunnel_report report)
{
	static const char *const names[] = {
		[TUNNEL_REPORT_REFUSED] = "refused",
		[TUNNEL_REPORT_ARMED] = "armed",
		[TUNNEL_REPORT_UP] = "up",
		[TUNNEL_REPORT_CLOSED] = "closed",
	};

	return names[report];
}

const char *tunnel_state_name(enum tunnel_state state)
{
	static const char *const names[] = {
		[TUNNEL_NONE] = "none",
		[TUNNEL_LOADING] = "loading",
		[TUNNEL_ARMED] = "armed",
		[TUNNEL_OPENING] = "opening",
		[TUNNEL_UP] = "up",
	};

	return names[state];
}
