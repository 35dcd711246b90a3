/*
 * Deliberate mistakes for tests/sim, which has to show that it finds each of them. In every other
 * build a bug is the constant false and the compiler leaves the branch out.
 */
#pragma once

#ifndef SIM_BUG
#define SIM_BUG(name) 0
#endif
