/* Compiler attributes used in Larder's headers. */
#ifndef LARDER_ATTRIBUTES_H
#define LARDER_ATTRIBUTES_H

/* The caller must look at the result. */
#define MUST_USE __attribute__((warn_unused_result))
/* The arguments from `first` on are checked against the printf format `fmt`. */
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN		__attribute__((noreturn))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
