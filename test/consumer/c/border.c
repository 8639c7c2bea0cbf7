/* The border of the C interface: null pointers, wrong options, errors and who owns what. Runs under the address sanitizer too,
 * which finds what is not given back. Arguments: a directory to work in. */
#include <fnimage.h>

#include "check.h"

/* Fails a call, and takes its error apart. */
#define REFUSED(call, expected_code, fragment)                                     \
  do {                                                                             \
    fnimage_error* error = NULL;                                                   \
    const int status = (call);                                                     \
    CHECK(status == (expected_code));                                              \
    CHECK(error != NULL);                                                          \
    CHECK(fnimage_error_code(error) == status);                                    \
    if (strstr(fnimage_error_message(error), (fragment)) == NULL) {                \
      fprintf(stderr, "%d: %s\n", __LINE__, fnimage_error_message(error));         \
      exit(1);                                                                     \
    }                                                                              \
    fnimage_error_free(error);                                                     \
  } while (0)

static void check_versions(void) {
  CHECK(fnimage_abi_version() == FNIMAGE_ABI_VERSION);
  CHECK(strchr(fnimage_version(), '.') != NULL);
}

static void check_null(void) {
  char* text = (char*)"untouched";
  CHECK(fnimage_error_code(NULL) == FNIMAGE_OK);
  CHECK(strcmp(fnimage_error_name(NULL), "ok") == 0);
  CHECK(strcmp(fnimage_error_message(NULL), "") == 0);
  CHECK(strcmp(fnimage_error_hint(NULL), "") == 0);
  CHECK(fnimage_error_is_retryable(NULL) == 0);
  CHECK(fnimage_error_http_status(NULL) == 0);
  CHECK(fnimage_cancel_is_requested(NULL) == 0);
  fnimage_cancel_request(NULL);
  fnimage_cancel_free(NULL);
  fnimage_context_free(NULL);
  fnimage_error_free(NULL);
  fnimage_string_free(NULL);
  REFUSED(fnimage_context_create(NULL, NULL, NULL, NULL, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "null");
  REFUSED(fnimage_build(NULL, NULL, NULL, &text, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "the context is null");
  CHECK(text == NULL);
  REFUSED(fnimage_publish(NULL, NULL, NULL, NULL, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "the context is null");
  CHECK(fnimage_publish(NULL, NULL, NULL, NULL, NULL) == FNIMAGE_ERROR_INVALID_ARGUMENT);
}

static void check_null_resolvers(void) {
  char* text = (char*)"untouched";
  fnimage_nodes* nodes = NULL;
  fnimage_resolver* resolver = NULL;
  CHECK(fnimage_nodes_count(NULL) == 0);
  fnimage_nodes_free(NULL);
  fnimage_resolver_free(NULL);
  REFUSED(fnimage_nodes_parse(NULL, &nodes, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "the text is null");
  REFUSED(fnimage_nodes_parse("{}", &nodes, &error), FNIMAGE_ERROR_INVALID_INPUT, "");
  CHECK(nodes == NULL);
  REFUSED(fnimage_resolver_create(NULL, NULL, &resolver, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "the context is null");
  REFUSED(fnimage_resolver_resolve(NULL, "a", "{}", NULL, &text, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "the resolver is null");
  CHECK(text == NULL);
  REFUSED(fnimage_resolver_choose(NULL, "a", NULL, NULL, NULL, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "the resolver is null");
  REFUSED(fnimage_resolver_place(NULL, "a", NULL, NULL, NULL, &text, &error), FNIMAGE_ERROR_INVALID_ARGUMENT,
          "the resolver is null");
  REFUSED(fnimage_resolver_expire(NULL, "a", &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "the resolver is null");
  REFUSED(fnimage_resolver_statistics(NULL, &text, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "the resolver is null");
}

static void check_options(void) {
  fnimage_context* context = NULL;
  REFUSED(fnimage_context_create("{", NULL, NULL, &context, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "not valid JSON");
  CHECK(context == NULL);
  REFUSED(fnimage_context_create("[]", NULL, NULL, &context, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "not a JSON object");
  REFUSED(fnimage_context_create("{\"a\": 1, \"a\": 2}", NULL, NULL, &context, &error), FNIMAGE_ERROR_INVALID_ARGUMENT,
          "duplicate key");
  REFUSED(fnimage_context_create("{\"plainHttp\": 1}", NULL, NULL, &context, &error), FNIMAGE_ERROR_INVALID_ARGUMENT,
          "/plainHttp: not true or false");
  REFUSED(fnimage_context_create("{\"connections\": 1}", NULL, NULL, &context, &error), FNIMAGE_ERROR_INVALID_ARGUMENT,
          "/connections: not a number from 2 to 64");
  REFUSED(fnimage_context_create("{\"credentials\": [{\"username\": \"a\"}]}", NULL, NULL, &context, &error),
          FNIMAGE_ERROR_INVALID_ARGUMENT, "/credentials/0: /registry: missing");
  REFUSED(fnimage_context_create("{\"certFile\": \"a\"}", NULL, NULL, &context, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "key");
  {
    fnimage_error* error = NULL;
    CHECK(fnimage_context_create("{\"plainHtp\": true}", NULL, NULL, &context, &error) == FNIMAGE_ERROR_INVALID_ARGUMENT);
    CHECK(strstr(fnimage_error_hint(error), "did you mean \"plainHttp\"?") != NULL);
    CHECK(strcmp(fnimage_error_name(error), "invalid_argument") == 0);
    fnimage_error_free(error);
  }
}

static fnimage_context* open_context(const char* directory) {
  fnimage_context* context = NULL;
  fnimage_error* error = NULL;
  char options[4096];
  snprintf(options, sizeof options,
           "{\"cacheDirectory\": \"%s/cache\", \"localStore\": \"%s/store\", \"userConfiguration\": false,"
           " \"plainHttp\": true, \"retries\": 0}",
           directory, directory);
  CHECK(fnimage_context_create(options, NULL, NULL, &context, &error) == FNIMAGE_OK);
  CHECK(error == NULL);
  return context;
}

static void check_jobs(const fnimage_context* context) {
  fnimage_cancel* cancel = fnimage_cancel_new();
  char* text = NULL;
  {
    fnimage_error* error = NULL;
    CHECK(fnimage_build(context, "{\"directory\": \"/nowhere\"}", NULL, &text, &error) == FNIMAGE_ERROR_NOT_FOUND);
    CHECK(strstr(fnimage_error_hint(error), "fnimage init") != NULL);
    fnimage_error_free(error);
  }
  REFUSED(fnimage_build(context, "{\"push\": true}", NULL, &text, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "/push");
  REFUSED(fnimage_build(context, "{\"format\": \"zip\"}", NULL, &text, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "/format");
  REFUSED(fnimage_publish(context, NULL, NULL, &text, &error), FNIMAGE_ERROR_INVALID_ARGUMENT, "/image: missing");
  REFUSED(fnimage_publish(context, "{\"image\": \"127.0.0.1:9/a:1\"}", NULL, &text, &error), FNIMAGE_ERROR_NOT_FOUND, "");
  REFUSED(fnimage_publish(context, "{\"image\": \"a\", \"expectDigest\": \"x\"}", NULL, &text, &error),
          FNIMAGE_ERROR_INVALID_INPUT, "");
  CHECK(fnimage_cancel_is_requested(cancel) == 0);
  fnimage_cancel_request(cancel);
  CHECK(fnimage_cancel_is_requested(cancel) == 1);
  REFUSED(fnimage_build(context, "{\"directory\": \"project\"}", cancel, &text, &error), FNIMAGE_ERROR_CANCELLED, "stopped");
  CHECK(text == NULL);
  fnimage_cancel_free(cancel);
}

static void check_results(const fnimage_context* context) {
  char* text = NULL;
  fnimage_error* error = NULL;
  CHECK(fnimage_build(context, "{\"directory\": \"project\", \"output\": \"oci:layout:one\"}", NULL, &text, &error) == FNIMAGE_OK);
  CHECK(error == NULL);
  CHECK(strstr(text, "\"names\":[\"oci:layout:one\"]") != NULL);
  fnimage_string_free(text);
  CHECK(fnimage_build(context, "{\"directory\": \"project\"}", NULL, NULL, NULL) == FNIMAGE_OK);
  REFUSED(fnimage_publish(context, "{\"image\": \"oci:layout:one\", \"references\": [\"127.0.0.1:9/a:1\"]}", NULL, &text, &error),
          FNIMAGE_ERROR_UNAVAILABLE, "127.0.0.1:9");
}

static void check_resolver(const fnimage_context* context) {
  fnimage_resolver* resolver = NULL;
  fnimage_nodes* nodes = NULL;
  char* text = NULL;
  const char* node =
      "{\"kind\": \"Node\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"power-1\"}, \"status\": {\"nodeInfo\": {"
      "\"architecture\": \"ppc64le\", \"operatingSystem\": \"linux\", \"containerRuntimeVersion\": \"containerd://2.1.4\"}}}";
  REFUSED(fnimage_resolver_create(context, "{\"tagLifetime\": 1}", &resolver, &error), FNIMAGE_ERROR_INVALID_ARGUMENT,
          "there is no option \"tagLifetime\"");
  CHECK(fnimage_resolver_create(context, NULL, &resolver, NULL) == FNIMAGE_OK);
  CHECK(fnimage_nodes_parse(node, &nodes, NULL) == FNIMAGE_OK);
  CHECK(fnimage_nodes_count(nodes) == 1);
  REFUSED(fnimage_resolver_choose(resolver, "oci:layout:one", NULL, NULL, NULL, &error), FNIMAGE_ERROR_INVALID_ARGUMENT,
          "the list of nodes is null");
  REFUSED(fnimage_resolver_choose(resolver, NULL, nodes, NULL, NULL, &error), FNIMAGE_ERROR_INVALID_ARGUMENT,
          "the reference is null");
  CHECK(fnimage_resolver_choose(resolver, "oci:layout:one", nodes, NULL, &text, NULL) == FNIMAGE_OK);
  CHECK(strstr(text, "\"outcome\":\"taken\"") != NULL);
  fnimage_string_free(text);
  CHECK(fnimage_resolver_resolve(resolver, "oci:layout:one", node, NULL, NULL, NULL) == FNIMAGE_OK);
  CHECK(fnimage_resolver_place(resolver, "oci:layout:one", nodes, "{\"format\": \"pod\"}", NULL, &text, NULL) == FNIMAGE_OK);
  CHECK(strstr(text, "\"kind\":\"Pod\"") != NULL);
  fnimage_string_free(text);
  REFUSED(fnimage_resolver_place(resolver, "oci:layout:one", NULL, "{\"form\": 1}", NULL, &text, &error),
          FNIMAGE_ERROR_INVALID_ARGUMENT, "there is no option \"form\"");
  CHECK(fnimage_resolver_expire(resolver, "oci:layout:one", NULL) == FNIMAGE_OK);
  CHECK(fnimage_resolver_statistics(resolver, &text, NULL) == FNIMAGE_OK);
  fnimage_string_free(text);
  fnimage_nodes_free(nodes);
  fnimage_resolver_free(resolver);
}

int main(int argc, char** argv) {
  fnimage_context* context;
  CHECK(argc == 2);
  check_versions();
  check_null();
  check_null_resolvers();
  check_options();
  context = open_context(argv[1]);
  check_jobs(context);
  check_results(context);
  check_resolver(context);
  fnimage_context_free(context);
  puts("good");
  return 0;
}
