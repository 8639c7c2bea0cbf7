"""A client of libfnimage in plain Python: what a controller that is not in C++ writes for itself. As in the C interface,
options and results are JSON; failures are exceptions that have a message and what to do about it."""
import contextlib
import ctypes
import json

OK = 0


class Error(Exception):
    """Why a call failed."""

    def __init__(self, library, error):
        self.code = library.fnimage_error_code(error)
        self.name = library.fnimage_error_name(error).decode()
        self.hint = library.fnimage_error_hint(error).decode()
        self.is_retryable = bool(library.fnimage_error_is_retryable(error))
        super().__init__(library.fnimage_error_message(error).decode())


class Event(ctypes.Structure):
    """fnimage_event"""
    _fields_ = [("size", ctypes.c_size_t), ("kind", ctypes.c_int), ("text", ctypes.c_char_p), ("task", ctypes.c_uint64),
                ("done", ctypes.c_uint64), ("total", ctypes.c_uint64)]


DEBUG, INFO, WARNING, BEGIN, PROGRESS, END = range(6)
CALLBACK = ctypes.CFUNCTYPE(None, ctypes.POINTER(Event), ctypes.c_void_p)


def load(path="libfnimage.so.0"):
    """The library, with the types of its functions."""
    library = ctypes.CDLL(path)
    handle, text, error = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)
    for name, result, arguments in (
            ("version", text, []), ("abi_version", ctypes.c_int, []), ("string_free", None, [handle]),
            ("error_code", ctypes.c_int, [handle]), ("error_name", text, [handle]), ("error_message", text, [handle]),
            ("error_hint", text, [handle]), ("error_is_retryable", ctypes.c_int, [handle]), ("error_free", None, [handle]),
            ("cancel_new", handle, []), ("cancel_request", None, [handle]), ("cancel_free", None, [handle]),
            ("context_create", ctypes.c_int, [text, CALLBACK, handle, error, error]), ("context_free", None, [handle]),
            ("build", ctypes.c_int, [handle, text, handle, error, error]),
            ("publish", ctypes.c_int, [handle, text, handle, error, error]),
            ("nodes_parse", ctypes.c_int, [text, error, error]), ("nodes_count", ctypes.c_size_t, [handle]),
            ("nodes_free", None, [handle]),
            ("resolver_create", ctypes.c_int, [handle, text, error, error]), ("resolver_free", None, [handle]),
            ("resolver_resolve", ctypes.c_int, [handle, text, text, handle, error, error]),
            ("resolver_choose", ctypes.c_int, [handle, text, handle, handle, error, error]),
            ("resolver_place", ctypes.c_int, [handle, text, handle, text, handle, error, error]),
            ("resolver_expire", ctypes.c_int, [handle, text, error]),
            ("resolver_statistics", ctypes.c_int, [handle, error, error])):
        function = getattr(library, f"fnimage_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class Cancel:
    """Stops the calls that it is given to."""

    def __init__(self, library):
        self.library = library
        self.handle = library.fnimage_cancel_new()

    def request(self):
        self.library.fnimage_cancel_request(self.handle)

    def __del__(self):
        self.library.fnimage_cancel_free(self.handle)


class Context:
    """How registries are reached, and where caches are. `on_event` gets (kind, text, task, done, total)."""

    def __init__(self, library, on_event=None, **options):
        self.library = library
        self.handle = None

        def deliver(event, _):
            if on_event is not None:
                told = event.contents
                on_event(told.kind, told.text.decode(), told.task, told.done, told.total)

        self.callback = CALLBACK(deliver)  # must live as long as the context
        self.handle = self.call(library.fnimage_context_create, json.dumps(options).encode(), self.callback, None)

    def __del__(self):
        self.library.fnimage_context_free(self.handle)

    def call(self, function, *arguments):
        """What a function stores through its parameter before the last."""
        result, error = ctypes.c_void_p(), ctypes.c_void_p()
        if function(*arguments, ctypes.byref(result), ctypes.byref(error)) != OK:
            try:
                raise Error(self.library, error)
            finally:
                self.library.fnimage_error_free(error)
        return result

    def text(self, function, *arguments):
        """The same of a function that makes a text."""
        result = self.call(function, *arguments)
        with contextlib.ExitStack() as stack:
            stack.callback(self.library.fnimage_string_free, result)
            return ctypes.string_at(result).decode()

    def build(self, cancel=None, **options):
        return json.loads(self.text(self.library.fnimage_build, self.handle, json.dumps(options).encode(),
                                    cancel and cancel.handle))

    def publish(self, cancel=None, **options):
        return json.loads(self.text(self.library.fnimage_publish, self.handle, json.dumps(options).encode(),
                                    cancel and cancel.handle))

    def nodes(self, text):
        return Nodes(self, text)

    def resolver(self, **options):
        return Resolver(self, options)


class Nodes:
    """Nodes as `kubectl get nodes -o json` prints them."""

    def __init__(self, context, text):
        self.library, self.handle = context.library, None
        self.handle = context.call(self.library.fnimage_nodes_parse, text.encode())

    def __len__(self):
        return self.library.fnimage_nodes_count(self.handle)

    def __del__(self):
        self.library.fnimage_nodes_free(self.handle)


class Resolver:
    """Which image each node takes; made once, asked by any number of threads."""

    def __init__(self, context, options):
        self.context, self.library, self.handle = context, context.library, None
        self.handle = context.call(self.library.fnimage_resolver_create, context.handle, json.dumps(options).encode())

    def __del__(self):
        self.library.fnimage_resolver_free(self.handle)

    def resolve(self, reference, node, cancel=None):
        """One node, as text."""
        return json.loads(self.context.text(self.library.fnimage_resolver_resolve, self.handle, reference.encode(),
                                            node.encode(), cancel and cancel.handle))

    def choose(self, reference, nodes, cancel=None):
        """Many."""
        return json.loads(self.context.text(self.library.fnimage_resolver_choose, self.handle, reference.encode(),
                                            nodes.handle, cancel and cancel.handle))

    def place(self, reference, nodes=None, cancel=None, **options):
        """Where pods of it may run."""
        return json.loads(self.context.text(self.library.fnimage_resolver_place, self.handle, reference.encode(),
                                            nodes and nodes.handle, json.dumps(options).encode(), cancel and cancel.handle))

    def expire(self, reference):
        error = ctypes.c_void_p()
        if self.library.fnimage_resolver_expire(self.handle, reference.encode(), ctypes.byref(error)) != OK:
            try:
                raise Error(self.library, error)
            finally:
                self.library.fnimage_error_free(error)

    def statistics(self):
        return json.loads(self.context.text(self.library.fnimage_resolver_statistics, self.handle))
