/* The client against a charon of our own making that can be told to hang, lie and die. */
#include "../check.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/charon.h"
#include "gateway/charon_message.h"

#define SESSIONS_MAX 64

struct fake;
struct fake_session {
	struct fake *fake;
	int fd;
	struct loop_fd *watch;
	struct buf input;
};

struct fake {
	struct loop *loop;
	char path[64];
	int fd;
	struct loop_fd *watch;
	struct fake_session sessions[SESSIONS_MAX];
	size_t count;
	bool hangs, lies;
	size_t initiates, registers; /* commands seen */
	int control;                 /* descriptor that registered for child-updown */
};

static void fake_send(int fd, struct buf *out)
{
	CHECK(send(fd, out->bytes, out->count, MSG_NOSIGNAL) == (ssize_t)out->count);
	buf_reset(out);
}

static void fake_answer(struct fake_session *session, const struct vici_packet *packet)
{
	struct fake *fake = session->fake;
	AUTO_BUF struct buf out = BUF(10000);
	struct vici_writer writer;

	if (packet->type == VICI_REGISTER) {
		fake->registers++;
		fake->control =
		        strcmp(packet->name, "child-updown") == 0 ? session->fd : fake->control;
		writer = vici_packet_start(&out, VICI_EVENT_CONFIRM, NULL);
		CHECK(vici_packet_end(&writer) == 0);
		fake_send(session->fd, &out);
		return;
	}
	if (strcmp(packet->name, "initiate") == 0) {
		fake->initiates++;
		return; /* the peer never answers */
	}
	if (strcmp(packet->name, "list-sas") == 0) {
		writer = vici_packet_start(&out, VICI_EVENT, "list-sa");
		vici_section_start(&writer, "gb");
		vici_section_end(&writer);
		CHECK(vici_packet_end(&writer) == 0);
	}
	writer = vici_packet_start(&out, VICI_RESPONSE, NULL);
	if (strcmp(packet->name, "version") == 0) {
		vici_text(&writer, "version", "5.9.8");
	} else if (strcmp(packet->name, "unload-conn") == 0) {
		vici_text(&writer, "success", "no");
		vici_text(&writer, "errmsg", "no such connection");
	}
	CHECK(vici_packet_end(&writer) == 0);
	if (fake->lies && strcmp(packet->name, "version") != 0) {
		out.bytes[0] = 0xff;
	}
	fake_send(session->fd, &out);
}

static void fake_read(void *context, uint32_t events)
{
	struct fake_session *session = context;
	struct vici_packet packet;
	uint8_t *room = buf_reserve(&session->input, 4096);
	ssize_t count;
	size_t used;

	if (session->fake->hangs) {
		loop_watch_events(session->watch, 0);
		return;
	}
	count = recv(session->fd, room, 4096, MSG_DONTWAIT);
	if (count <= 0) {
		session->watch = loop_unwatch(session->watch);
		return;
	}
	session->input.count += (size_t)count;
	while (vici_packet_parse(session->input.bytes, session->input.count, &packet, &used) == 0) {
		fake_answer(session, &packet);
		buf_drop(&session->input, used);
	}
}

static void fake_accept(void *context, uint32_t events)
{
	struct fake *fake = context;
	struct fake_session *session = &fake->sessions[fake->count];

	CHECK(fake->count < SESSIONS_MAX);
	*session = (struct fake_session){ .fake = fake,
		.input = BUF(100000),
		.fd = accept4(fake->fd, NULL, NULL, SOCK_CLOEXEC) };
	CHECK(session->fd >= 0);
	CHECK(loop_watch(fake->loop, session->fd, EPOLLIN, fake_read, session, &session->watch) ==
	        0);
	fake->count++;
}

static void fake_start(struct fake *fake, struct loop *loop)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*fake = (struct fake){ .loop = loop, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	snprintf(fake->path, sizeof(fake->path), "/tmp/sekisho-vici-%d", (int)getpid());
	unlink(fake->path);
	strcpy(address.sun_path, fake->path);
	CHECK(bind(fake->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(fake->fd, 32) == 0);
	CHECK(loop_watch(loop, fake->fd, EPOLLIN, fake_accept, fake, &fake->watch) == 0);
}

static void fake_end_sessions(struct fake *fake)
{
	for (size_t i = 0; i < fake->count; i++) {
		loop_unwatch(fake->sessions[i].watch);
		close(fake->sessions[i].fd);
		buf_clear(&fake->sessions[i].input);
	}
	fake->count = 0;
}

static void fake_stop(struct fake *fake)
{
	fake_end_sessions(fake);
	loop_unwatch(fake->watch);
	close(fake->fd);
	unlink(fake->path);
}

struct seen {
	struct loop *loop;
	int alive, downs, events, sas, done[4];
	char text[100], child[160];
	int stop_at_done; /* ends the loop after so many results */
};

static void on_event(void *context, enum charon_event_type type, const struct charon_sa *sa)
{
	struct seen *seen = context;

	seen->events++;
	snprintf(seen->child, sizeof(seen->child), "%d %s", (int)type, sa->child);
	loop_stop(seen->loop, 0);
}

static void on_state(void *context, bool alive, const char *why)
{
	struct seen *seen = context;

	seen->alive = alive;
	seen->downs += !alive;
	loop_stop(seen->loop, 0);
}

static void on_done(void *context, enum charon_outcome outcome, const char *text)
{
	struct seen *seen = context;
	int count = 0;

	seen->done[outcome]++;
	snprintf(seen->text, sizeof(seen->text), "%s", text);
	for (int i = 0; i < 4; i++) {
		count += seen->done[i];
	}
	if (count >= seen->stop_at_done) {
		loop_stop(seen->loop, 0);
	}
}

static void on_sa(void *context, const struct charon_sa *sa)
{
	((struct seen *)context)->sas++;
}

static const struct charon_handlers handlers = { on_event, on_state };

struct scene {
	struct loop *loop;
	struct fake fake;
	struct seen seen;
	struct charon *charon;
};

static void begin(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	CHECK(loop_new(&scene->loop) == 0);
	scene->seen = (struct seen){ .loop = scene->loop, .stop_at_done = 1 };
	fake_start(&scene->fake, scene->loop);
	CHECK(charon_new(scene->loop, scene->fake.path, &handlers, &scene->seen, &scene->charon) ==
	        0);
	CHECK(loop_run(scene->loop) == 0 && charon_alive(scene->charon));
}

static void end(struct scene *scene)
{
	charon_free(scene->charon);
	fake_stop(&scene->fake);
	loop_free(scene->loop);
}

TEST(commands_are_answered_in_order)
{
	struct scene scene;

	begin(&scene);
	CHECK(scene.fake.registers == CHARON_EVENT_NAMES_COUNT);
	CHECK(charon_version(scene.charon, on_done, &scene.seen) == 0);
	CHECK(scene.seen.done[CHARON_OK] == 0); /* never from inside the call */
	CHECK(loop_run(scene.loop) == 0);
	CHECK(scene.seen.done[CHARON_OK] == 1);
	CHECK_TEXT(scene.seen.text, "5.9.8");
	scene.seen.stop_at_done = 3;
	CHECK(charon_load_token(scene.charon, "01", "1234", -1, on_done, &scene.seen) == 0);
	CHECK(charon_unload_peer(scene.charon, "gb", on_done, &scene.seen) == 0);
	CHECK(loop_run(scene.loop) == 0);
	CHECK(scene.seen.done[CHARON_OK] == 2 && scene.seen.done[CHARON_REFUSED] == 1);
	CHECK_TEXT(scene.seen.text, "no such connection");
	end(&scene);
}

TEST(a_list_and_its_end)
{
	struct scene scene;

	begin(&scene);
	CHECK(charon_list(scene.charon, on_sa, on_done, &scene.seen) == 0);
	CHECK(loop_run(scene.loop) == 0);
	CHECK(scene.seen.sas == 1 && scene.seen.done[CHARON_OK] == 1);
	end(&scene);
}

TEST(slow_peers_delay_nobody_and_end_by_their_deadline)
{
	struct scene scene;
	int64_t begun = clock_monotonic_usec();

	begin(&scene);
	for (int i = 0; i < CHARON_PARALLEL_MAX + 4; i++) {
		CHECK(charon_initiate(scene.charon, "gb", "c1", 100, on_done, &scene.seen) == 0);
	}
	CHECK(charon_version(scene.charon, on_done, &scene.seen) == 0);
	CHECK(loop_run(scene.loop) == 0);
	CHECK(scene.seen.done[CHARON_OK] == 1 && scene.fake.initiates <= CHARON_PARALLEL_MAX);
	scene.seen.stop_at_done = CHARON_PARALLEL_MAX + 5;
	CHECK(loop_run(scene.loop) == 0);
	CHECK(scene.seen.done[CHARON_TIMEOUT] == CHARON_PARALLEL_MAX + 4);
	CHECK(clock_monotonic_usec() - begun < 3 * USEC_PER_SEC);
	CHECK(charon_alive(scene.charon));
	end(&scene);
}

TEST(a_hang_is_noticed_and_its_end_too)
{
	struct scene scene;
	int64_t begun = clock_monotonic_usec();

	begin(&scene);
	scene.fake.hangs = true;
	CHECK(loop_run(scene.loop) == 0 && !charon_alive(scene.charon));
	CHECK(clock_monotonic_usec() - begun < 5 * USEC_PER_SEC);
	scene.fake.hangs = false;
	for (size_t i = 0; i < scene.fake.count; i++) {
		loop_watch_events(scene.fake.sessions[i].watch, EPOLLIN);
	}
	CHECK(loop_run(scene.loop) == 0 && charon_alive(scene.charon));
	end(&scene);
}

TEST(a_death_is_noticed_and_survived)
{
	struct scene scene;
	int asked = 0;

	begin(&scene);
	fake_end_sessions(&scene.fake);
	CHECK(loop_run(scene.loop) == 0 && !charon_alive(scene.charon));
	/* One sent into the dying connection is gone, one asked for after that waits for the next.
	 */
	while (scene.seen.done[CHARON_OK] == 0) {
		if (scene.seen.done[CHARON_GONE] == asked) {
			CHECK(++asked <= 2);
			CHECK(charon_version(scene.charon, on_done, &scene.seen) == 0);
		}
		CHECK(loop_run(scene.loop) == 0);
	}
	CHECK(charon_alive(scene.charon));
	end(&scene);
}

TEST(an_answer_that_is_not_vici_ends_the_connection)
{
	struct scene scene;

	begin(&scene);
	scene.fake.lies = true;
	CHECK(charon_flush_certificates(scene.charon, on_done, &scene.seen) == 0);
	while (scene.seen.done[CHARON_GONE] == 0) {
		CHECK(loop_run(scene.loop) == 0);
	}
	CHECK(scene.seen.downs == 1);
	end(&scene);
}

TEST(events_are_told)
{
	AUTO_BUF struct buf out = BUF(1000);
	struct vici_writer writer = vici_packet_start(&out, VICI_EVENT, "child-updown");
	struct scene scene;
	char want[20];

	begin(&scene);
	vici_section_start(&writer, "gb");
	vici_section_start(&writer, "child-sas");
	vici_section_start(&writer, "c1-4");
	vici_text(&writer, "name", "c1");
	vici_section_end(&writer);
	vici_section_end(&writer);
	vici_section_end(&writer);
	vici_text(&writer, "up", "yes"); /* behind what it speaks of */
	CHECK(vici_packet_end(&writer) == 0);
	fake_send(scene.fake.control, &out);
	CHECK(loop_run(scene.loop) == 0);
	snprintf(want, sizeof(want), "%d c1", CHARON_CHILD_UP);
	CHECK(scene.seen.events == 1);
	CHECK_TEXT(scene.seen.child, want);
	end(&scene);
}

TEST(what_cannot_be_sent_is_refused_at_once)
{
	static uint8_t large[70000];
	struct scene scene;

	begin(&scene);
	CHECK(charon_load_authority(scene.charon, large, sizeof(large), on_done, &scene.seen) == 1);
	for (int i = 0; i < CHARON_QUEUE_COUNT_MAX + 1; i++) {
		/* The first goes out at once. */
		CHECK(charon_version(scene.charon, on_done, &scene.seen) == 0);
	}
	CHECK(charon_version(scene.charon, on_done, &scene.seen) == 1);
	end(&scene); /* with all of them waiting */
}

TEST_MAIN()
