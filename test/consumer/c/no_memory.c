/* Every allocation fails once: the call must end with an error or do without, and never end the program. The program's own
 * malloc() comes before that of the C library, also for operator new. Options are left out: the JSON library allocates when it
 * frees, and has no way out of that. */
#include <fnimage.h>

#include "check.h"

extern void* __libc_malloc(size_t size);

static long allocations_left = -1; /* -1 = as many as there is memory for */
static int has_failed = 0;

void* malloc(size_t size) {
  if (allocations_left == 0) {
    allocations_left = -1;
    has_failed = 1;
    return NULL;
  }
  if (allocations_left > 0) {
    --allocations_left;
  }
  return __libc_malloc(size);
}

/* One call whose n-th allocation fails. */
typedef int (*attempt)(fnimage_error** error);

static int create(fnimage_error** error) {
  fnimage_context* context = NULL;
  const int status = fnimage_context_create(NULL, NULL, NULL, &context, error);
  CHECK((status == FNIMAGE_OK) == (context != NULL));
  fnimage_context_free(context);
  return status;
}

static int refuse(fnimage_error** error) {
  fnimage_context* context = NULL;
  const int status = fnimage_context_create("{", NULL, NULL, &context, error);
  CHECK(context == NULL);
  return status;
}

static void try_all(attempt call, int expected) {
  long n = 0;
  int status = 0;
  do {
    fnimage_error* error = NULL;
    has_failed = 0;
    allocations_left = n++;
    status = call(&error);
    allocations_left = -1;
    CHECK(status == expected || status == FNIMAGE_ERROR_INTERNAL);
    CHECK((status == FNIMAGE_OK) == (error == NULL));
    CHECK(fnimage_error_code(error) == status);
    CHECK(status != FNIMAGE_ERROR_INTERNAL || strstr(fnimage_error_message(error), "memory") != NULL);
    fnimage_error_free(error);
  } while (has_failed);
  CHECK(status == expected);
  CHECK(n > 10);
  printf("%ld\n", n);
}

int main(void) {
  try_all(create, FNIMAGE_OK);
  try_all(refuse, FNIMAGE_ERROR_INVALID_ARGUMENT);
  puts("good");
  return 0;
}
