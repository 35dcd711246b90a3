#include "../check.h"

#include "pki/der.h"

static bool canonical(const char *bytes, size_t count)
{
	return der_canonical((const uint8_t *)bytes, count);
}

#define CANONICAL(bytes) canonical((bytes), sizeof(bytes) - 1)

TEST(only_canonical_der_is_taken)
{
	CHECK(CANONICAL("\x30\x00"));
	CHECK(CANONICAL("\x30\x03\x02\x01\x00"));
	CHECK(!CANONICAL("\x30\x81\x03\x02\x01\x00")); /* length in the long form for 3 */
	CHECK(!CANONICAL("\x30\x80\x00\x00"));         /* indefinite */
	CHECK(!CANONICAL("\x30\x00\x00"));             /* something behind */
	CHECK(!CANONICAL("\x30\x02\x02\x01"));         /* cut off */
	CHECK(!CANONICAL("\x02\x00"));                 /* no digits */
	CHECK(!CANONICAL("\x02\x02\x00\x01"));         /* leading zero */
	CHECK(!CANONICAL("\x02\x02\xff\x80"));         /* leading ones */
	CHECK(CANONICAL("\x02\x02\x00\x80"));
	CHECK(!CANONICAL("\x01\x01\x01"));     /* a boolean of neither 0 nor 255 */
	CHECK(!CANONICAL("\x03\x02\x01\x01")); /* padding bit set */
	CHECK(CANONICAL("\x03\x02\x01\x02"));
	CHECK(!CANONICAL("\x03\x02\x08\x00"));
	CHECK(!CANONICAL("\x03\x01\x01"));
	CHECK(!CANONICAL("\x05\x01\x00"));
	CHECK(!CANONICAL("\x06\x01\x80"));
	CHECK(!CANONICAL("\x24\x00")); /* an OCTET STRING made of pieces */
	CHECK(!CANONICAL("\x10\x00")); /* a SEQUENCE that is not made of any */
	CHECK(CANONICAL("\x31\x06\x02\x01\x01\x02\x01\x02"));
	CHECK(!CANONICAL("\x31\x06\x02\x01\x02\x02\x01\x01")); /* a set out of order */
	CHECK(!CANONICAL("\x1f\x81\x00\x00"));                 /* a tag of many bytes */
	CHECK(!CANONICAL("\x30\x84\xff\xff\xff\xff"));
}

TEST(depth_has_an_end)
{
	AUTO_BUF struct buf deep = BUF(256);
	size_t marks[DER_DEPTH_MAX + 2];

	for (int i = 0; i < DER_DEPTH_MAX + 2; i++) {
		marks[i] = der_open(&deep, DER_SEQUENCE);
	}
	for (int i = DER_DEPTH_MAX + 1; i >= 0; i--) {
		der_close(&deep, marks[i]);
	}
	CHECK(!der_canonical(deep.bytes, deep.count));
	CHECK(der_canonical(deep.bytes + 4, deep.count - 4));
}

TEST(lengths_are_written_in_every_size)
{
	static const size_t sizes[] = { 0, 1, 127, 128, 255, 256, 65535, 65536, 70000 };

	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		AUTO_BUF struct buf out = BUF(100000);
		uint8_t *bytes = mem_new(sizes[i], 1);
		struct der in, content;

		der_add(&out, DER_OCTET_STRING, bytes, sizes[i]);
		free(bytes);
		CHECK(!out.overflowed && der_canonical(out.bytes, out.count));
		in = DER(out.bytes, out.count);
		content = der_take(&in, DER_OCTET_STRING);
		CHECK(der_end(&in) && content.left == sizes[i]);
	}
}

TEST(integers_round_trip)
{
	static const uint64_t values[] = { 0, 1, 127, 128, 255, 256, 1ULL << 63, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
		AUTO_BUF struct buf out = BUF(16);
		struct der in;

		der_add_u64(&out, values[i]);
		CHECK(der_canonical(out.bytes, out.count));
		in = DER(out.bytes, out.count);
		CHECK(der_take_u64(&in) == values[i] && der_end(&in));
	}
}

TEST(times_round_trip_and_wrong_ones_break)
{
	static const int64_t times[] = { -631152000, -1, 0, 951782400 /* 2000-02-29 */, 2524607999,
		2524608000, 4107542400 /* 2100-03-01 */, 253402300799 };
	static const char *const wrong[] = { "\x17\x0d"
		                             "260229000000Z",
		"\x17\x0d"
		"261301000000Z",
		"\x17\x0d"
		"260100000000Z",
		"\x17\x0d"
		"260101240000Z",
		"\x17\x0d"
		"260101006000Z",
		"\x17\x0d"
		"26010100000aZ",
		"\x17\x0d"
		"2601010000000",
		"\x17\x0b"
		"2601010000Z" };

	for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
		AUTO_BUF struct buf out = BUF(32), general = BUF(32);
		struct der in;

		der_add_time(&out, times[i]);
		in = DER(out.bytes, out.count);
		CHECK(der_take_time(&in) == times[i] && der_end(&in));
		CHECK(out.bytes[0] ==
		        (times[i] < 2524608000 ? DER_UTC_TIME : DER_GENERALIZED_TIME));
		der_add_generalized_time(&general, times[i]);
		in = DER(general.bytes, general.count);
		CHECK(der_take_time(&in) == times[i] && der_end(&in));
	}
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		struct der in = DER((const uint8_t *)wrong[i], strlen(wrong[i]));

		der_take_time(&in);
		CHECK(in.broken);
	}
}

TEST(every_known_oid_is_canonical_and_its_own)
{
	for (int oid = OID_NONE + 1; oid < OID_COUNT; oid++) {
		AUTO_BUF struct buf out = BUF(64);
		struct der in;

		der_add_oid(&out, (enum oid)oid);
		CHECK(der_canonical(out.bytes, out.count));
		in = DER(out.bytes, out.count);
		CHECK(der_take_oid(&in) == (enum oid)oid);
	}
}

TEST(pem_is_one_block)
{
	AUTO_BUF struct buf pem = BUF(1024), out = BUF(256);
	uint8_t bytes[100] = { DER_SEQUENCE, 98 };

	der_print_pem(bytes, sizeof(bytes), "THING", &pem);
	CHECK(der_from_pem(pem.bytes, pem.count, "THING", &out) == 0);
	CHECK(out.count == sizeof(bytes) && memcmp(out.bytes, bytes, sizeof(bytes)) == 0);
	buf_reset(&out);
	CHECK(der_from_pem(pem.bytes, pem.count, "OTHER", &out) == 1);
	buf_add_text(&pem, "more");
	CHECK(der_from_pem(pem.bytes, pem.count, "THING", &out) == 1);
	CHECK(der_from_pem("", 0, "THING", &out) == 1);
}

TEST_MAIN()
