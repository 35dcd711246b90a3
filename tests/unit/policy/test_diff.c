/* What two versions of a policy permit differently, in words; and that equal ones do not differ. */
#include "../check.h"

#include "policy/diff.h"

#define KEY_A                                                                                      \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define KEY_B                                                                                      \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB" \
	"BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=="

static const char old_site[] =
        "sekisho site-policy 1\nsite s\nversion 1\ntime-zone +09:00\nholidays 2026-11-23\n"
        "hours day mon-fri 09:00-17:30 except holidays\n"
        "host ct address 10.0.0.1 service 100.64.0.1 zone hsz\n"
        "host pc address 10.0.0.2 service 100.64.0.2\n"
        "host old address 10.0.0.3 service 100.64.0.3\n"
        "set both ct pc\napprover a key " KEY_A "\napprover b key " KEY_B "\n"
        "allow one from m/x to ct class remote-maintenance protocol tcp port 104,200-210 duration"
        " 1h hours day idle 15m concurrency 1\n"
        "allow two from m/x to pc class remote-maintenance protocol tcp port 22 approval emergency"
        " review 12h\n"
        "allow three from m/* to pc class mail protocol tcp port 25 outage survive posture "
        "current\n"
        "allow four from both to m/x class remote-maintenance protocol icmp\n"
        "allow six from m/x to pc class mail protocol tcp port 26 hours day\n"
        "allow seven from m/x to pc class mail protocol tcp port 27 idle 5m\n"
        "allow eight from m/x to pc class mail protocol tcp port 28 idle 5m open traffic\n"
        "refuse gone from m/y to *\n";
static const char new_site[] =
        "sekisho site-policy 1\nsite s\nversion 2\n"
        "hours day mon-sat 09:00-17:30\n"
        "host ct address 10.0.0.9 service 100.64.0.1 zone hsz changeover\n"
        "host pc address 10.0.0.2 service 100.64.0.2\n"
        "host mr address 10.0.0.4 service 100.64.0.4\n"
        "set both ct pc mr\napprover a key " KEY_B "\napprover c key " KEY_A "\n"
        "allow one from m/x to ct class remote-maintenance protocol tcp port 104 duration 2h"
        " lease 30s approval standing factor one\n"
        "allow two from m/x to pc class remote-maintenance protocol tcp port 22-23 approval"
        " emergency review 1h hours day\n"
        "allow three from m/* to pc class asp protocol tcp port 25\n"
        "allow four from both to m/x class remote-maintenance protocol icmp\n"
        "allow six from m/x to pc class mail protocol tcp port 26 hours day\n"
        "allow seven from m/x to pc class mail protocol tcp port 27 idle 5m open traffic\n"
        "allow eight from m/x to pc class mail protocol tcp port 28 idle 5m\n"
        "allow five from m/x to mr class mail protocol udp port 1-2\n"
        "refuse never from m/z to pc class mail\n";

TEST(a_site_s_differences_are_named_one_by_one)
{
	AUTO(site_policy) struct site_policy *old = NULL, *new = NULL;
	AUTO_BUF struct buf out = BUF(1 << 16);
	struct policy_difference found;
	struct err err = { "" };

	CHECK(site_policy_parse(old_site, strlen(old_site), &old, &err) == 0);
	CHECK(site_policy_parse(new_site, strlen(new_site), &new, &err) == 0);
	found = site_policy_diff(old, old, &out);
	CHECK(found.more + found.less + found.other == 0 && out.count == 0);
	found = site_policy_diff(old, new, &out);
	CHECK_TEXT(buf_text(&out),
	        "- rule one: m/x may reach ct: remote-maintenance, tcp port 104; before: m/x may "
	        "reach "
	        "ct: remote-maintenance, tcp port 104,200-210\n"
	        "+ rule one: duration 2h instead of 1h\n"
	        "- rule one: lease 30s instead of 5m\n"
	        "+ rule one: approval standing instead of required\n"
	        "+ rule one: at any hour instead of mon-fri 09:00-17:30 except holidays\n"
	        "+ rule one: closed when idle for 1d instead of 15m\n"
	        "+ rule one: connections at a time 4096 instead of 1\n"
	        "+ rule one: factors one instead of two\n"
	        "+ rule two: m/x may reach pc: remote-maintenance, tcp port 22-23; before: m/x may "
	        "reach pc: remote-maintenance, tcp port 22\n"
	        "- rule two: review within 1h instead of 12h\n"
	        "- rule two: only mon-sat 09:00-17:30 instead of any hour\n"
	        "* rule three: every host of m may reach pc: asp, tcp port 25; before: every host "
	        "of m "
	        "may reach pc: mail, tcp port 25\n"
	        "- rule three: an outage of the center is not survived instead of survived\n"
	        "+ rule three: posture any instead of current\n"
	        "* rule four: the set both (ct, pc, mr) may reach m/x: remote-maintenance, icmp; "
	        "before: the set both (ct, pc) may reach m/x: remote-maintenance, icmp\n"
	        "* rule six: mon-sat 09:00-17:30 instead of mon-fri 09:00-17:30 except holidays\n"
	        "+ rule seven: opens on first traffic or request instead of request\n"
	        "- rule eight: opens on request instead of first traffic or request\n"
	        "+ rule five is new: m/x may reach mr: mail, udp port 1-2\n"
	        "- rule never is new: m/z may never reach pc: mail\n"
	        "+ rule gone is gone: m/y may never reach every host of s\n"
	        "* host ct: address 10.0.0.9, service address 100.64.0.1, zone hsz, changeover; "
	        "before: address 10.0.0.1, service address 100.64.0.1, zone hsz\n"
	        "* host mr is new: address 10.0.0.4, service address 100.64.0.4, no zone\n"
	        "- host old is gone\n"
	        "* approver a has another key\n"
	        "+ c may approve\n"
	        "- b may no longer approve\n"
	        "* time-zone UTC instead of +09:00\n"
	        "* the holidays are others\n");
	CHECK(found.more == 12 && found.less == 9 && found.other == 8);
}

static const char old_provider[] =
        "sekisho provider-policy 1\nprovider p\nversion 1\npool 100.64.0.0/10\n"
        "site a prefix 100.64.1.0/24\nsite b prefix 100.64.2.0/24\nsite c prefix 100.64.3.0/24\n"
        "class mail\nclass asp duration 1h\nclass backup\nexclude mail backup\n"
        "group one sites a b classes mail asp\ngroup two sites b c classes mail\n";
static const char new_provider[] =
        "sekisho provider-policy 1\nprovider p\nversion 2\npool 100.64.0.0/10\n"
        "site a prefix 100.64.1.0/25\nsite b prefix 100.64.2.0/24\nsite d prefix 100.64.4.0/24\n"
        "class mail\nclass asp duration 2h approval required factor two outage never\n"
        "class timestamp\nexclude asp timestamp\n"
        "group one sites a d classes mail timestamp\ngroup three sites a b classes mail\n";

TEST(a_provider_s_differences_are_named_one_by_one)
{
	AUTO(provider_policy) struct provider_policy *old = NULL, *new = NULL;
	AUTO_BUF struct buf out = BUF(1 << 16);
	struct policy_difference found;
	struct err err = { "" };

	CHECK(provider_policy_parse(old_provider, strlen(old_provider), &old, &err) == 0);
	CHECK(provider_policy_parse(new_provider, strlen(new_provider), &new, &err) == 0);
	found = provider_policy_diff(new, new, &out);
	CHECK(found.more + found.less + found.other == 0 && out.count == 0);
	found = provider_policy_diff(old, new, &out);
	CHECK_TEXT(buf_text(&out),
	        "+ mail and backup no longer exclude each other\n"
	        "* class asp: duration 2h lease 1m approval required factor two outage never; "
	        "before: "
	        "duration 1h lease 1m\n"
	        "- asp and timestamp exclude each other\n"
	        "- class backup is no longer offered\n"
	        "+ class timestamp is offered\n"
	        "+ site d is new\n"
	        "- site c is gone\n"
	        "* site a has the addresses 100.64.1.0/25; before: 100.64.1.0/24\n"
	        "+ group one has site d\n"
	        "+ group one has class timestamp\n"
	        "- group one no longer has site b\n"
	        "- group one no longer has class asp\n"
	        "+ group three is new, with 2 sites\n"
	        "- group two is gone\n");
	CHECK(found.more == 6 && found.less == 6 && found.other == 2);
}

TEST_MAIN()
