/* What the rest of src/pki sees of a certificate beyond cert.h. */
#pragma once

#include "pki/cert.h"

struct x509_st;
struct tbs;

/* All borrowed. */
struct x509_st *cert_x509(const struct cert *cert);
const struct tbs *cert_tbs(const struct cert *cert);
/* The subject key identifier; count 0 when there is none. */
const uint8_t *cert_key_id(const struct cert *cert, size_t *ret_count);
