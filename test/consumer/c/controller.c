/* What a platform's controller asks for each pod: which image a node takes, and what it is to pull.
 * controller NODES REFERENCE, where NODES is what `kubectl get nodes -o json` prints. */
#include <stdio.h>
#include <stdlib.h>

#include <fnimage.h>

static char* read_text(const char* path) {
  enum { most = 1 << 20 };
  FILE* file = fopen(path, "rb");
  char* text = malloc(most + 1);
  if (file == NULL || text == NULL) {
    fprintf(stderr, "cannot read %s\n", path);
    exit(FNIMAGE_ERROR_IO);
  }
  text[fread(text, 1, most, file)] = '\0';
  fclose(file);
  return text;
}

//! [resolve]
static int choose(const char* reference, const char* nodes_json, fnimage_error** error) {
  fnimage_context* context = NULL;
  fnimage_resolver* resolver = NULL;
  fnimage_nodes* nodes = NULL;
  char* result = NULL;
  /* The first two are made once, and asked by any number of threads. */
  int status = fnimage_context_create("{\"plainHttp\": true}", NULL, NULL, &context, error);
  if (status == FNIMAGE_OK) {
    status = fnimage_resolver_create(context, "{\"tagLifetimeMs\": 10000}", &resolver, error);
  }
  if (status == FNIMAGE_OK) {
    status = fnimage_nodes_parse(nodes_json, &nodes, error);
  }
  if (status == FNIMAGE_OK) {
    status = fnimage_resolver_choose(resolver, reference, nodes, NULL, &result, error);
  }
  if (status == FNIMAGE_OK) {
    puts(result); /* {"reference": …, "nodes": [{"node": …, "taken": {…}, "pull": …}]} */
  }
  fnimage_string_free(result);
  fnimage_nodes_free(nodes);
  fnimage_resolver_free(resolver);
  fnimage_context_free(context);
  return status;
}
//! [resolve]

int main(int argc, char** argv) {
  fnimage_error* error = NULL;
  char* nodes;
  int status;
  if (argc != 3) {
    fprintf(stderr, "controller NODES REFERENCE\n");
    return FNIMAGE_ERROR_INVALID_ARGUMENT;
  }
  nodes = read_text(argv[1]);
  status = choose(argv[2], nodes, &error);
  free(nodes);
  if (status != FNIMAGE_OK) {
    fprintf(stderr, "%s\nhint: %s\n", fnimage_error_message(error), fnimage_error_hint(error));
    fnimage_error_free(error);
  }
  return status;
}
