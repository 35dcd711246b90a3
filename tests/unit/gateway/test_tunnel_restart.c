/*
 * The tunnel machine after an interruption: a restart, a reboot, an end that was not finished,
 * charon or the packet filter gone.
 */
#include "tunnel_fixture.h"

TEST(restart_adopts_what_runs_and_removes_what_nobody_knows)
{
	struct tunnel_found_element elements[2];
	struct tunnel_found_child children[2] = { { "gw-maker", child_name }, { "gw-x", "c1" } };
	struct tunnel_found found = { elements, 2, true, children, 2, true };

	setup();
	bring_up();
	elements[0] = (struct tunnel_found_element){ .lease = tunnel_at(f.machine, 0).lease,
		.left_msec = 30000 };
	elements[1] = elements[0];
	elements[1].lease.port = 22;
	elements[1].lease.mark = 99;
	tunnel_machine_free(f.machine);
	begin("boot-1", 30);
	CHECK_TEXT(take(), "load:1");
	CHECK(tunnel_at(f.machine, 0).state == TUNNEL_NONE);
	tunnel_reconcile(f.machine, &found, at(30), &f.actions);
	CHECK_TEXT(take(), "record:gateway.repaired close forget record:gateway.repaired "
	                   "terminate-peer unload report:armed report:up load:1");
	CHECK(tunnel_at(f.machine, 0).state == TUNNEL_UP);
	CHECK(tunnel_at(f.machine, 0).lease_end_usec == MONO + 60 * SEC);
	clean();
}

TEST(restart_closes_what_ran_out)
{
	setup();
	bring_up();
	tunnel_machine_free(f.machine);
	begin("boot-1", 90);
	take();
	found_nothing(90);
	CHECK_TEXT(take(), "record:lease.expired close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	clean();
}

TEST(restart_waits_for_charon_but_not_for_ever)
{
	struct tunnel_found_element element;
	struct tunnel_found found = { &element, 1, true, NULL, 0, false };

	setup();
	bring_up();
	element = (struct tunnel_found_element){ .lease = tunnel_at(f.machine, 0).lease,
		.left_msec = 30000 };
	tunnel_machine_free(f.machine);
	begin("boot-1", 10);
	take();
	tunnel_reconcile(f.machine, &found, at(10), &f.actions);
	CHECK_TEXT(take(), "");
	tunnel_reconcile(f.machine, &found, at(16), &f.actions);
	CHECK_TEXT(take(), "record:connection.down close load:1");
	clean();
}

TEST(reboot_closes_everything)
{
	setup();
	bring_up();
	tunnel_machine_free(f.machine);
	begin("boot-2", 5);
	CHECK_TEXT(take(), "load:1 record:connection.cut close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	CHECK(tunnel_count(f.machine) == 0);
	found_nothing(5);
	CHECK_TEXT(give(&f.grant, 6), "record:grant.refused report:refused");
	clean();
}

TEST(interrupted_end_is_finished_after_a_restart)
{
	struct buf whole;

	setup();
	bring_up();
	tunnel_cut(f.machine, f.grant.id.text, "local", "pressed", at(2), &f.actions);
	whole = f.actions.items[0].record; /* only the first record got to the disk */
	buf_add(&f.journal, whole.bytes, whole.count);
	buf_add_text(&f.journal, "\n");
	tunnel_actions_reset(&f.actions);
	tunnel_machine_free(f.machine);
	begin("boot-1", 3);
	CHECK_TEXT(take(),
	        "load:1 close forget terminate-peer unload record:connection.closed report:closed");
	clean();
}

TEST(lost_sa_shuts_the_filter_and_is_made_again)
{
	setup();
	bring_up();
	tunnel_child(f.machine, "gw-maker", child_name, false, at(5), &f.actions);
	CHECK_TEXT(take(), "record:connection.down close");
	tunnel_tick(f.machine, at(6), &f.actions);
	CHECK_TEXT(take(), "initiate");
	tunnel_child(f.machine, "gw-maker", child_name, true, at(7), &f.actions);
	CHECK(f.actions.items[1].ttl_msec == 54000); /* the lease ran on */
	CHECK_TEXT(take(), "record:connection.opening open");
	clean();
}

TEST(charon_gone_and_back)
{
	setup();
	bring_up();
	tunnel_charon(f.machine, false, at(5), &f.actions);
	CHECK_TEXT(take(), "record:connection.down close");
	tunnel_charon(f.machine, true, at(8), &f.actions);
	CHECK_TEXT(take(), "load:1");
	tunnel_cut_all(f.machine, "local", "pressed", at(8), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	clean();
}

TEST(flushed_table_is_filled_again_for_the_rest_of_the_lease)
{
	setup();
	bring_up();
	tunnel_filter(f.machine, false, at(5), &f.actions);
	CHECK_TEXT(take(), "record:connection.down close");
	tunnel_filter(f.machine, true, at(6), &f.actions);
	CHECK(f.actions.items[1].ttl_msec == 55000);
	CHECK_TEXT(take(), "record:connection.opening open");
	clean();
}

TEST(damaged_journal_is_not_used)
{
	struct err err = { 0 };
	static const char bad[] = "{\"kind\":\"grant.accepted\",\"subject\":\"x\",\"data\":{}}";
	static const char foreign[] = "{\"kind\":\"flow.seen\",\"subject\":\"x\",\"data\":{}}";

	setup();
	CHECK(tunnel_recall(f.machine, bad, strlen(bad), &err) == 1 && err.text[0]);
	CHECK(tunnel_recall(f.machine, "{", 1, &err) == 1);
	CHECK(tunnel_recall(f.machine, foreign, strlen(foreign), &err) == 0);
	clean();
}

TEST_MAIN()
