/* The schema files of src/store/sql: entry n leads from schema n to schema n + 1. Ended by NULL. */
#pragma once

extern const char *const store_schema[];
