#include "../check.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "loop/channel.h"
#include "loop/process.h"

struct order {
	struct loop *loop;
	char text[16];
};

static void add(struct order *order, char c)
{
	size_t count = strlen(order->text);

	order->text[count] = c;
	order->text[count + 1] = '\0';
	if (count == 2) {
		loop_stop(order->loop, 7);
	}
}

static void add_a(void *context)
{
	add(context, 'a');
}

static void add_b(void *context)
{
	add(context, 'b');
}

static void add_c(void *context)
{
	add(context, 'c');
}

TEST(timers_fire_in_order_of_their_time)
{
	struct order order = { 0 };
	struct loop_timer *a, *b, *c, *never;

	CHECK(loop_new(&order.loop) == 0);
	a = loop_timer_new(order.loop, add_a, &order);
	b = loop_timer_new(order.loop, add_b, &order);
	c = loop_timer_new(order.loop, add_c, &order);
	never = loop_timer_new(order.loop, add_a, &order);
	loop_timer_set(c, 30);
	loop_timer_set(never, 5);
	loop_timer_set(a, 10);
	loop_timer_set(b, 500);
	loop_timer_set(b, 20);
	loop_timer_stop(never);
	CHECK(loop_run(order.loop) == 7);
	CHECK_TEXT(order.text, "abc");
	loop_timer_free(a);
	loop_timer_free(b);
	loop_timer_free(c);
	loop_timer_free(never);
	loop_free(order.loop);
}

struct talk {
	struct loop *loop;
	struct channel *channel;
	size_t bytes;
	unsigned messages, closed;
};

static int take(void *context, uint16_t type, uint32_t tag, const uint8_t *payload, size_t count)
{
	struct talk *talk = context;

	talk->messages++;
	talk->bytes += count;
	if (type == 99) {
		talk->channel = channel_free(talk->channel);
		loop_stop(talk->loop, 0);
	}
	return type == 13;
}

static void closed(void *context)
{
	struct talk *talk = context;

	talk->closed++;
	talk->channel = channel_free(talk->channel);
	loop_stop(talk->loop, 0);
}

TEST(messages_arrive_whole_and_may_end_their_channel)
{
	struct talk talk = { 0 };
	uint8_t big[40000] = { 0 };
	int fds[2];

	CHECK(loop_new(&talk.loop) == 0 && channel_pair(fds) == 0);
	CHECK(channel_new(talk.loop, fds[0], take, closed, &talk, &talk.channel) == 0);
	CHECK(frame_send(fds[1], 1, 5, big, sizeof(big)) == 0);
	CHECK(frame_send(fds[1], 2, 6, NULL, 0) == 0);
	CHECK(frame_send(fds[1], 99, 6, "x", 1) == 0);
	CHECK(loop_run(talk.loop) == 0);
	CHECK(talk.messages == 3 && talk.bytes == sizeof(big) + 1 && talk.closed == 0 &&
	        !talk.channel);
	close(fds[1]);
	loop_free(talk.loop);
}

TEST(bad_messages_end_the_sender)
{
	static const char too_long[] = "\x7f\xff\xff\xff\0\1\0\0\0\0";

	for (int round = 0; round < 2; round++) {
		struct talk talk = { 0 };
		char byte;
		int fds[2];

		CHECK(loop_new(&talk.loop) == 0 && channel_pair(fds) == 0);
		CHECK(channel_new(talk.loop, fds[0], take, closed, &talk, &talk.channel) == 0);
		if (round == 0) {
			CHECK(frame_send(fds[1], 13, 0, NULL, 0) == 0);
		} else {
			CHECK(send(fds[1], too_long, 10, 0) == 10);
		}
		CHECK(loop_run(talk.loop) == 0);
		CHECK(talk.closed == 1);
		CHECK(recv(fds[1], &byte, 1, 0) == 0);
		close(fds[1]);
		loop_free(talk.loop);
	}
}

TEST(a_call_that_nobody_answers_ends_at_its_deadline)
{
	AUTO_BUF struct buf reply = BUF(64);
	int64_t start = clock_monotonic_usec();
	uint16_t type;
	int fds[2];

	CHECK(channel_pair(fds) == 0);
	CHECK(channel_ask(fds[0], 1, 1, NULL, 0, 50) == 0);
	CHECK(channel_answer(fds[0], 1, 50, &type, &reply) < 0);
	CHECK(clock_monotonic_usec() - start < USEC_PER_SEC);
	CHECK(frame_send(fds[1], 7, 1, "old", 3) == 0); /* the answer to the call given up */
	CHECK(frame_send(fds[1], 8, 2, "new", 3) == 0);
	CHECK(channel_ask(fds[0], 1, 2, NULL, 0, 1000) == 0);
	CHECK(channel_answer(fds[0], 2, 1000, &type, &reply) == 0);
	CHECK(type == 8);
	CHECK_TEXT(buf_text(&reply), "new");
	close(fds[0]);
	close(fds[1]);
}

struct ending {
	struct loop *loop;
	int status;
};

static void ended(void *context, struct process *process, int status)
{
	struct ending *ending = context;

	ending->status = status;
	loop_stop(ending->loop, 0);
}

TEST(processes_get_their_descriptors_and_end)
{
	const char *const argv[] = { "/bin/sh", "-c", "echo hello >&3; exit 5", NULL };
	struct ending ending = { 0 };
	struct process *process;
	char text[8] = "";
	int fds[2];

	CHECK(loop_new(&ending.loop) == 0 && pipe(fds) == 0);
	CHECK(process_start(ending.loop,
	              &(struct process_plan){
	                      .name = "t", .argv = argv, .fds = { fds[1] }, .fd_count = 1 },
	              ended, &ending, &process) == 0);
	CHECK(loop_run(ending.loop) == 0);
	CHECK(WIFEXITED(ending.status) && WEXITSTATUS(ending.status) == 5);
	CHECK(read(fds[0], text, 7) == 6);
	CHECK_TEXT(text, "hello\n");
	process_free(process);
	close(fds[0]);
	close(fds[1]);
	loop_free(ending.loop);
}

TEST(stopping_is_asked_for)
{
	const char *const argv[] = { "/bin/sleep", "60", NULL };
	struct ending ending = { 0 };
	struct process *process;

	CHECK(loop_new(&ending.loop) == 0);
	CHECK(process_start(ending.loop, &(struct process_plan){ .name = "t", .argv = argv }, ended,
	              &ending, &process) == 0);
	process_stop(process);
	CHECK(loop_run(ending.loop) == 0);
	CHECK(WIFSIGNALED(ending.status) && WTERMSIG(ending.status) == SIGTERM);
	process_free(process);
	loop_free(ending.loop);
}

TEST_MAIN()
