/*
 * storm.h - how long a storm of random cases lasts.
 *
 * The build with sanitizers is several times slower and looks for faults of memory,
 * of which a few cases of each kind show as much as many: it makes a quarter of them. What is
 * right and what is wrong the ordinary build says.
 */
#ifndef HC_TESTS_STORM_H
#define HC_TESTS_STORM_H

#if defined(__SANITIZE_ADDRESS__)
#define STORM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STORM_SANITIZED 1
#endif
#endif

/* STORM(N): how many of N cases, at least one of them. */
#ifdef STORM_SANITIZED
#define STORM(n) (((n) + 3) / 4)
#else
#define STORM(n) (n)
#endif

#endif
