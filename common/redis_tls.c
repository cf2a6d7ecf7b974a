/* Sets up TLS for the link to Redis. */
#include "common/redis_tls.h"

#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/redis_link.h"

static int openssl_failed(struct err *err, const char *what, const char *file)
{
	char text[200];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	ERR_clear_error();
	return err_set(err, "TLS: %s %s: %s", what, file, text);
}

static int configure(SSL_CTX *ctx, const struct redis_link_target *target, struct err *err)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (target->ca_file != NULL) {
		if (SSL_CTX_load_verify_locations(ctx, target->ca_file, NULL) != 1)
			return openssl_failed(err, "cannot load CA file", target->ca_file);
	} else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
		return openssl_failed(err, "cannot load", "the system's CAs");
	}
	if (target->cert_file == NULL)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(ctx, target->cert_file) != 1)
		return openssl_failed(err, "cannot load certificate", target->cert_file);
	if (SSL_CTX_use_PrivateKey_file(ctx, target->key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return openssl_failed(err, "cannot use key", target->key_file);
	return 0;
}

/* The name is checked against the certificate; an address against its IP entries. */
static int expect_name(SSL *ssl, const char *name)
{
	unsigned char addr[16];

	if (inet_pton(AF_INET, name, addr) == 1 || inet_pton(AF_INET6, name, addr) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

struct bufferevent *redis_tls_bufferevent(struct event_base *base,
					  const struct redis_link_target *target, struct err *err)
{
	const char *name =
		target->server_name != NULL ? target->server_name : target->url.place.host;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct bufferevent *bev = NULL;
	SSL *ssl = NULL;

	if (ctx == NULL) {
		openssl_failed(err, "cannot start", "OpenSSL");
		return NULL;
	}
	if (configure(ctx, target, err) != 0)
		goto out;
	ssl = SSL_new(ctx);
	if (ssl == NULL || !expect_name(ssl, name)) {
		openssl_failed(err, "cannot check the name", name);
		SSL_free(ssl);
		goto out;
	}
	bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
					     BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		err_set(err, "TLS: cannot make a connection");
		SSL_free(ssl);
	}
out:
	SSL_CTX_free(ctx); /* the connection keeps its own reference */
	return bev;
}

bool redis_tls_error(struct bufferevent *bev, char *buf, size_t size)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	long verify = ssl != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;
	unsigned long code = bufferevent_get_openssl_error(bev);
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	if (verify != X509_V_OK) {
		snprintf(buf, size, "TLS: %s", X509_verify_cert_error_string(verify));
		return true;
	}
	if (code == 0)
		return false;
	/* OpenSSL has no words for the error of a system call, whose reason is its errno. */
	snprintf(buf, size, "TLS: %s", reason != NULL ? reason : strerror(ERR_GET_REASON(code)));
	return true;
}
