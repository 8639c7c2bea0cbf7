/* Builds a function for all platforms and publishes it: publish DIRECTORY REFERENCE. */
#include <inttypes.h>
#include <stdio.h>

//! [events]
#include <fnimage.h>

/* Called from any thread, but never twice at once. */
static void on_event(const fnimage_event* event, void* user_data) {
  FILE* log = user_data;
  if (event->kind == FNIMAGE_EVENT_WARNING) {
    fprintf(log, "warning: %s\n", event->text);
  } else if (event->kind == FNIMAGE_EVENT_BEGIN) {
    fprintf(log, "task %" PRIu64 ": %s, %" PRIu64 " bytes\n", event->task, event->text, event->total);
  } else if (event->kind == FNIMAGE_EVENT_END) {
    fprintf(log, "task %" PRIu64 ": %s\n", event->task, event->text);
  }
}
//! [events]

/* Says what went wrong, and what to do about it. */
static int report(fnimage_error* error) {
  const int status = fnimage_error_code(error);
  fprintf(stderr, "%s: %s\n", fnimage_error_name(error), fnimage_error_message(error));
  fprintf(stderr, "hint: %s\n", fnimage_error_hint(error));
  fnimage_error_free(error);
  return status;
}

int main(int argc, char** argv) {
  char options[4096];
  if (argc != 3) {
    fprintf(stderr, "publish DIRECTORY REFERENCE\n");
    return FNIMAGE_ERROR_INVALID_ARGUMENT;
  }
  /* A program that makes options from what it does not know uses a JSON library. */
  snprintf(options, sizeof options, "{\"directory\": \"%s\", \"tags\": [\"%s\"], \"push\": true}", argv[1], argv[2]);

  //! [build]
  fnimage_context* context = NULL;
  fnimage_error* error = NULL;
  char* result = NULL;
  if (fnimage_context_create("{\"plainHttp\": true}", on_event, stderr, &context, &error) != FNIMAGE_OK) {
    return report(error);
  }
  /* options: {"directory": "hello", "tags": ["127.0.0.1:30501/hello:latest"], "push": true} */
  if (fnimage_build(context, options, NULL, &result, &error) != FNIMAGE_OK) {
    fnimage_context_free(context);
    return report(error);
  }
  puts(result); /* what `fnimage build --json` prints */
  fnimage_string_free(result);
  fnimage_context_free(context);
  //! [build]
  return 0;
}
