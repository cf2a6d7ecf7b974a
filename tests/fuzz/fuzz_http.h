/* The fuzz target of HTTP requests, for one of the daemons. */
#ifndef LARDER_TESTS_FUZZ_HTTP_H
#define LARDER_TESTS_FUZZ_HTTP_H

struct fuzz_http_program {
	int (*run)(int argc, char **argv); /* its main, under another name (cmake/Fuzz.cmake) */
	/*
	 * Members of its configuration, to be freed. `dir` holds the folders "state" and "models",
	 * the latter with one model, "engine".
	 */
	char *(*settings)(const char *dir);
};

/* Each target has its own. */
extern const struct fuzz_http_program fuzz_http_program;

#endif
