/**
 * @file fnimage.h
 * The C interface of fnimage: which image of a list each node of a cluster takes, where a function
 * may run, building and publishing. For programs in C, and in whatever language can call C.
 *
 * - Results are #FNIMAGE_OK or the class of a failure; nothing is thrown, and no argument that is
 *   null ends the program: it is #FNIMAGE_ERROR_INVALID_ARGUMENT. The last parameter of a function
 *   that can fail takes the error itself, with a message and what to do about it; it may be null.
 * - Whatever a function stores through a parameter belongs to the caller, who gives it back to the
 *   function named `…_free` of its type (these take null, too). Strings that are *returned* belong
 *   to the object they were asked of, and live as long as it does.
 * - Texts are UTF-8 and end with a null byte. Options are JSON objects; null or `""` stands for
 *   `{}`, and a member that is not known is an error that names the nearest one. Results are the
 *   JSON that the command prints with `--json`; members may be added to them.
 * - A handle may be used by several threads at once, unless its type says otherwise. It must not be
 *   freed while another thread uses it. There is no global state.
 *
 * Members of the interface are never changed or taken away as long as #FNIMAGE_ABI_VERSION and the
 * name of the library (`libfnimage.so.0`) stay.
 */
#ifndef FNIMAGE_H
#define FNIMAGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @def FNIMAGE_API
 * Marks what the library exports.
 */
#if defined(__GNUC__)
#define FNIMAGE_API __attribute__((visibility("default")))
#else
#define FNIMAGE_API
#endif

/** The version of the binary interface that this header describes. */
#define FNIMAGE_ABI_VERSION 0

/** The version of the binary interface that the library has: compare it with
 * #FNIMAGE_ABI_VERSION. */
FNIMAGE_API int fnimage_abi_version(void);
/** The version of fnimage: `"0.1.0"`. Static. */
FNIMAGE_API const char* fnimage_version(void);

/**
 * Classes of failures; the numbers are the exit codes of the command, and never change.
 */
enum fnimage_status {
  FNIMAGE_OK = 0,                       /**< no failure */
  FNIMAGE_ERROR_INTERNAL = 1,           /**< a bug in fnimage, or no memory */
  FNIMAGE_ERROR_INVALID_ARGUMENT = 2,   /**< asked for something that cannot be */
  FNIMAGE_ERROR_INVALID_INPUT = 3,      /**< a file, manifest or package is malformed */
  FNIMAGE_ERROR_NOT_FOUND = 4,          /**< a file, tag, package or platform does not exist */
  FNIMAGE_ERROR_ALREADY_EXISTS = 5,     /**< would overwrite what must not be overwritten */
  FNIMAGE_ERROR_PERMISSION_DENIED = 6,  /**< the file system refused */
  FNIMAGE_ERROR_UNAUTHORIZED = 7,       /**< the registry wants (other) credentials */
  FNIMAGE_ERROR_UNAVAILABLE = 8,        /**< network failure */
  FNIMAGE_ERROR_TLS = 9,                /**< certificate or handshake problem */
  FNIMAGE_ERROR_PROTOCOL = 10,          /**< the peer answered what the protocol does not allow */
  FNIMAGE_ERROR_RATE_LIMITED = 11,      /**< the registry wants fewer requests */
  FNIMAGE_ERROR_VERIFICATION = 12,      /**< digest, size or signature does not match */
  FNIMAGE_ERROR_PLATFORM_MISMATCH = 13, /**< a platform is missing, or not what the files are */
  FNIMAGE_ERROR_NO_SPACE = 14,          /**< disk or quota full */
  FNIMAGE_ERROR_UNSUPPORTED = 15,       /**< valid, but nothing that fnimage or the peer can do */
  FNIMAGE_ERROR_IO = 16,                /**< any other failure of the operating system */
  FNIMAGE_ERROR_CANCELLED = 130         /**< stopped by a #fnimage_cancel */
};

/** Gives back a string that a function has stored through a parameter. */
FNIMAGE_API void fnimage_string_free(char* text);

/**
 * @defgroup errors Errors
 * @{
 */

/** Why a function failed. It does not change; several threads may read it. */
typedef struct fnimage_error fnimage_error;

/** The class of the failure: an #fnimage_status. Of null: #FNIMAGE_OK. */
FNIMAGE_API int fnimage_error_code(const fnimage_error* error);
/** Its name: `"not_found"`. Of null: `"ok"`. */
FNIMAGE_API const char* fnimage_error_name(const fnimage_error* error);
/** What failed, where, while doing what; one line. Of null: `""`. */
FNIMAGE_API const char* fnimage_error_message(const fnimage_error* error);
/** What can be done about it; may be empty. Of null: `""`. */
FNIMAGE_API const char* fnimage_error_hint(const fnimage_error* error);
/** 1 when the same call may succeed later, else 0. */
FNIMAGE_API int fnimage_error_is_retryable(const fnimage_error* error);
/** The HTTP status that led to it; 0 = none. */
FNIMAGE_API int fnimage_error_http_status(const fnimage_error* error);
/** Gives the error back. */
FNIMAGE_API void fnimage_error_free(fnimage_error* error);

/** @} */

/**
 * @defgroup cancel Stopping
 * @{
 */

/** A request to stop, for as many calls as it is given to; it cannot be taken back. It may be freed
 * while calls that it was given to are under way; they cannot be stopped any more then. */
typedef struct fnimage_cancel fnimage_cancel;

/** A new one, or null when there is no memory. */
FNIMAGE_API fnimage_cancel* fnimage_cancel_new(void);
/** The calls that have it end with #FNIMAGE_ERROR_CANCELLED soon, unless they are done before.
 * Whatever moment that is: a tag stands for something whole, or does not stand. From any thread,
 * but not from a signal handler. */
FNIMAGE_API void fnimage_cancel_request(fnimage_cancel* cancel);
/** 1 when that was asked for, else 0. */
FNIMAGE_API int fnimage_cancel_is_requested(const fnimage_cancel* cancel);
/** Gives it back. */
FNIMAGE_API void fnimage_cancel_free(fnimage_cancel* cancel);

/** @} */

/**
 * @defgroup context Contexts
 * @{
 */

/** What an event is about. */
enum fnimage_event_kind {
  FNIMAGE_EVENT_DEBUG = 0,    /**< a message for who looks for a fault */
  FNIMAGE_EVENT_INFO = 1,     /**< a message */
  FNIMAGE_EVENT_WARNING = 2,  /**< a message about what may go wrong later */
  FNIMAGE_EVENT_BEGIN = 3,    /**< a task begins; the text is what it is called */
  FNIMAGE_EVENT_PROGRESS = 4, /**< it has come so far; no text */
  FNIMAGE_EVENT_END = 5       /**< it has ended; the text says how in a word or two */
};

/** Something that happened during a call. */
typedef struct fnimage_event {
  size_t size;      /**< of this structure, as the library knows it: members may be added */
  int kind;         /**< an #fnimage_event_kind */
  const char* text; /**< never null; valid until the callback returns */
  uint64_t task;    /**< which task, from 1; 0 = none */
  uint64_t done;    /**< bytes of the task so far (or items, when the text says so) */
  uint64_t total;   /**< bytes of the whole task; 0 = not known */
} fnimage_event;

/** Gets the events of all calls on one context: from any thread, one after the other. It must
 * neither throw nor wait for a call on the same context; asking an #fnimage_cancel is fine. */
typedef void (*fnimage_event_callback)(const fnimage_event* event, void* user_data);

/** How registries are reached, where caches are, and who is told. Does not change; may be freed
 * while objects that were made from it are in use, but not during a call on it. */
typedef struct fnimage_context fnimage_context;

/**
 * Makes a context; asks nothing of the network.
 * @param options_json all members are optional:
 *   - `"cacheDirectory"`, `"localStore"`: paths, instead of the user's (`$XDG_CACHE_HOME/fnimage`,
 *     `$XDG_DATA_HOME/fnimage/store`); `"uploadJournal"`: path of a directory where uploads of
 * large blobs are noted, so that the next process goes on with them (default: nowhere);
 *   - `"userConfiguration"`: false = no file of the user's is read: no `registries.json`, shared
 *     certificates, stored credentials (default: true);
 *   - `"plainHttp"`, `"insecure"`, `"tlsVerify"`: as the options of the command of these names, for
 *     all registries; `"caFile"`, `"caDirectory"`, `"certFile"`, `"keyFile"`: paths;
 *   - `"registries"`: path of a file like `registries.json`, instead of the user's;
 *   - `"credentials"`: `[{"registry": "host:port", "username": …, "password": …}]`, or
 *     `"identityToken"`, or `"registryToken"`; `"authFile"`: path of a docker `config.json`;
 *   - `"connections"` to one registry (8), `"limitRate"` in bytes per second,
 * `"requestsPerSecond"`,
 *     `"retries"` (4), `"retryForSeconds"`, `"threads"` of a build (0 = one per processor).
 * @param callback may be null.
 * @param user_data handed to the callback; must live as long as the context and what is made of it.
 * @param[out] context the new context, or null.
 * @param[out] error why not; may be null.
 */
FNIMAGE_API int fnimage_context_create(const char* options_json, fnimage_event_callback callback,
                                       void* user_data, fnimage_context** context,
                                       fnimage_error** error);
/** Gives it back. */
FNIMAGE_API void fnimage_context_free(fnimage_context* context);

/** @} */

/**
 * @defgroup jobs Building and publishing
 * @{
 */

/**
 * Builds every platform of a build file, and publishes the list when asked to. Executes nothing of
 * the image, and needs no root.
 * @param options_json all members are optional:
 *   - `"directory"`: where `fnimage.yaml` is (`"."`); `"file"`: another build file, whose paths are
 *     relative to the directory;
 *   - `"tags"`: names of the list; `"push"`: true = publish each;
 *   - `"output"`: `"oci:DIR[:tag]"`, `"oci-archive:FILE[:tag]"` or
 *     `"docker-archive:FILE[:name:tag]"`, instead of the local store;
 *   - `"platforms"`: only these; `"format"`: `"oci"` or `"docker"`; `"compression"`: `"gzip"`,
 *     `"zstd"` or `"none"`; `"sboms"`: of `"spdx"`, `"cyclonedx"`; `"sourceDateEpoch"`: seconds;
 *   - `"lint"`: false = publish a list that nodes cannot use, too;
 *   - `"offline"`, `"locked"`, `"strict"`: as the options of the command; `"check"`: false = build
 *     what cannot start, too; `"bundle"`: path; `"tagPlatforms"`: false = no `<tag>-<arch>`.
 * @param context must not be null.
 * @param cancel stops it; may be null.
 * @param[out] result_json what `fnimage build --json` prints: `{"list", "names", "platforms",
 *   "pushed"}`; may be null.
 * @param[out] error why not; may be null.
 */
FNIMAGE_API int fnimage_build(const fnimage_context* context, const char* options_json,
                              const fnimage_cancel* cancel, char** result_json,
                              fnimage_error** error);

/**
 * Publishes an image or list. All content goes first and the tags last; what was sent before a
 * failure is found by the next call.
 * @param options_json
 *   - `"image"`: `"oci:DIR[:tag]"`, an archive, or a name in the local store;
 *   - `"references"`: where to: `["registry/name:tag"]`; without it, to what the image is called;
 *   - all others are optional: `"tagPlatforms"`: false = no `<tag>-<arch>`; `"referrers"`: what
 *     refers to it goes along; `"lint"`: false = a list that nodes cannot use, too; `"repair"`:
 * look for lost blobs; `"expectAbsent"`: only when there is no such tag; `"expectDigest"`: only
 * when it stands there.
 * @param context must not be null.
 * @param cancel stops it; may be null.
 * @param[out] result_json what `fnimage push --json` prints: `{"pushed": [{"reference", "digest",
 *   …}]}`; may be null.
 * @param[out] error why not; may be null.
 */
FNIMAGE_API int fnimage_publish(const fnimage_context* context, const char* options_json,
                                const fnimage_cancel* cancel, char** result_json,
                                fnimage_error** error);

/** @} */

/**
 * @defgroup resolve Which image a node takes
 * @{
 */

/** Nodes of a cluster. They do not change; several threads may use them. */
typedef struct fnimage_nodes fnimage_nodes;

/**
 * Reads nodes as the Kubernetes API describes them: one Node, or a list of them
 * (`kubectl get nodes -o json`), as JSON or YAML.
 * @param text must not be null.
 * @param[out] nodes what was read, or null.
 * @param[out] error names node and field; may be null.
 */
FNIMAGE_API int fnimage_nodes_parse(const char* text, fnimage_nodes** nodes, fnimage_error** error);
/** How many there are. Of null: 0. */
FNIMAGE_API size_t fnimage_nodes_count(const fnimage_nodes* nodes);
/** Gives them back. */
FNIMAGE_API void fnimage_nodes_free(fnimage_nodes* nodes);

/** Says which image each node takes of a list, and keeps what registries have said: made once, and
 * asked by any number of threads. */
typedef struct fnimage_resolver fnimage_resolver;

/**
 * Makes a resolver; asks nothing of the network.
 * @param context must not be null.
 * @param options_json all members are optional; times are in milliseconds:
 *   - `"tagLifetimeMs"` (30000): after so long the registry is asked again what a tag stands for;
 *     `"missingLifetimeMs"` (10000), `"failureLifetimeMs"` (5000): so long it is believed that
 * there is no such image, and that the registry is away;
 *   - `"maxStaleMs"` (for ever): so old may be what is answered while the registry is away;
 *     `"patienceMs"` (2000): so long is waited for it when something is known;
 *   - `"maxBytes"` of all that is kept (64 MiB), `"threads"` that wait for registries (8);
 *   - `"variants"`: false = lists as plain runtimes see them.
 * @param[out] resolver the new resolver, or null.
 * @param[out] error why not; may be null.
 */
FNIMAGE_API int fnimage_resolver_create(const fnimage_context* context, const char* options_json,
                                        fnimage_resolver** resolver, fnimage_error** error);
/** Gives it back; requests under way are stopped. */
FNIMAGE_API void fnimage_resolver_free(fnimage_resolver* resolver);

/**
 * Which image one node takes. That it takes none is an answer, not an error.
 * @param resolver must not be null.
 * @param reference `"registry/name:tag"`, `"oci:DIR[:tag]"` or a name in the local store.
 * @param node_json one node, as for fnimage_nodes_parse().
 * @param cancel stops it; may be null.
 * @param[out] result_json `{"reference", "digest", "mediaType", "list", "staleMs", "warnings",
 *   "node", "platform", "cpuVariant", "runtime", "outcome", "taken", "pull", "variant", "unsure",
 *   "foreign", "requires", "pullSize"}`: the outcome is `"taken"`, `"no-match"`, `"unfit"` (the
 * node lacks what the image requires) or `"broken"`; `"taken"` the descriptor of the image,
 * `"pull"` what is to be pulled, both null unless one is taken; `"unsure"`: the node does not say
 * whether it has all that is required; `"foreign"`: it will be pulled and not start. May be null.
 * @param[out] error why not; may be null.
 */
FNIMAGE_API int fnimage_resolver_resolve(const fnimage_resolver* resolver, const char* reference,
                                         const char* node_json, const fnimage_cancel* cancel,
                                         char** result_json, fnimage_error** error);

/**
 * Which image each of many nodes takes, all of the same list.
 * @param resolver must not be null.
 * @param reference as for fnimage_resolver_resolve().
 * @param nodes must not be null.
 * @param cancel stops it; may be null.
 * @param[out] result_json `{"reference", "digest", "mediaType", "list", "staleMs", "warnings",
 *   "nodes": [{"node", …}]}`, in the order of the nodes; may be null.
 * @param[out] error why not; may be null.
 */
FNIMAGE_API int fnimage_resolver_choose(const fnimage_resolver* resolver, const char* reference,
                                        const fnimage_nodes* nodes, const fnimage_cancel* cancel,
                                        char** result_json, fnimage_error** error);

/**
 * Where pods of a list may run.
 * @param resolver must not be null.
 * @param reference as for fnimage_resolver_resolve().
 * @param nodes of the cluster: their runtimes decide which architectures count; null = those that
 *   Kubernetes usually runs on.
 * @param options_json `"format"`: `"affinity"` (when it is absent), `"selector"`, `"json-patch"`,
 *   `"openwhisk"`, `"invoker-tags"`, `"knative"`, `"openfaas"`, `"pod"`, `"nfd"`; `"variant"`:
 * place this variant ("gpu") instead of the list. May be null.
 * @param cancel stops it; may be null.
 * @param[out] result_json `{"reference", "digest", "mediaType", "list", "staleMs", "warnings",
 *   "format", "placement", "notes"}`: the placement as `fnimage place --format F --json` prints it.
 *   May be null.
 * @param[out] error why not: FNIMAGE_ERROR_UNSUPPORTED for what the format cannot say exactly. May
 *   be null.
 */
FNIMAGE_API int fnimage_resolver_place(const fnimage_resolver* resolver, const char* reference,
                                       const fnimage_nodes* nodes, const char* options_json,
                                       const fnimage_cancel* cancel, char** result_json,
                                       fnimage_error** error);

/** The next who asks for this image has its registry asked, as after a push. */
FNIMAGE_API int fnimage_resolver_expire(const fnimage_resolver* resolver, const char* reference,
                                        fnimage_error** error);

/** Counters for metrics: `{"hits", "refreshes", "failures", "stale", "images", "bytes"}`. */
FNIMAGE_API int fnimage_resolver_statistics(const fnimage_resolver* resolver, char** result_json,
                                            fnimage_error** error);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
