"""A controller in Python that uses libfnimage by ctypes: builds, is told what happens, stops what takes too long, and gets
errors with a way out.

Usage: client_test.py LIBRARY SOURCE"""
import json
import pathlib
import random
import sys
import tempfile
import threading
import unittest

LIBRARY, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
del sys.argv[1:]
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(SOURCE / "test/cli")]
import resolve_test  # noqa: E402  pylint: disable=wrong-import-position
import fnimage  # noqa: E402  pylint: disable=wrong-import-position

SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
source: {main: handler.py}
layers: [{name: model, from: model.bin, to: /action/model.bin}]
"""
MODEL_SIZE = 20_000_000


class ClientTest(unittest.TestCase):
    library = fnimage.load(LIBRARY)

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="fnimage-python-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.project = self.scratch / "project"
        self.project.mkdir()
        (self.project / "handler.py").write_text("def main(args):\n    return {}\n")
        (self.project / "model.bin").write_bytes(b"weights")
        (self.project / "fnimage.yaml").write_text(SPEC)
        self.layout = f"oci:{self.scratch}/layout"

    def context(self, on_event=None, **options):
        return fnimage.Context(self.library, on_event, cacheDirectory=str(self.scratch / "cache"),
                               localStore=str(self.scratch / "store"), userConfiguration=False, **options)

    def build(self, context, cancel=None, **options):
        return context.build(cancel, directory=str(self.project), output=f"{self.layout}:latest", **options)

    def tags(self):
        index = self.scratch / "layout/index.json"
        if not index.exists():
            return []
        return sorted(entry["annotations"]["org.opencontainers.image.ref.name"]
                      for entry in json.loads(index.read_text())["manifests"])

    def test_builds(self):
        self.assertEqual(0, self.library.fnimage_abi_version())
        events = []
        result = self.build(self.context(lambda *event: events.append(event)))
        self.assertEqual(["linux/amd64", "linux/ppc64le"], [one["platform"] for one in result["platforms"]])
        self.assertEqual(["latest", "latest-amd64", "latest-ppc64le"], self.tags())
        began = {event[2]: event[1] for event in events if event[0] == fnimage.BEGIN}
        ended = {event[2]: event[1] for event in events if event[0] == fnimage.END}
        self.assertEqual(set(began), set(ended))
        self.assertIn("model", began.values())

    def test_a_build_is_stopped_and_leaves_nothing(self):
        (self.project / "model.bin").write_bytes(random.Random(1).randbytes(MODEL_SIZE))
        cancel = fnimage.Cancel(self.library)

        def stop(kind, _text, _task, done, _total):
            if kind == fnimage.PROGRESS and done > 0:
                cancel.request()

        with self.assertRaises(fnimage.Error) as caught:
            self.build(self.context(stop), cancel)
        self.assertEqual(("cancelled", 130), (caught.exception.name, caught.exception.code))
        self.assertEqual([], self.tags())
        self.assertEqual([], list((self.scratch / "cache").rglob(".tmp-*")))
        self.build(self.context())
        self.assertIn("latest", self.tags())

    def test_stopping_one_call_stops_no_other(self):
        context = self.context()
        cancel = fnimage.Cancel(self.library)
        cancel.request()
        with self.assertRaises(fnimage.Error):
            self.build(context, cancel)
        self.build(context, fnimage.Cancel(self.library))
        self.assertIn("latest", self.tags())

    def test_errors_have_a_hint(self):
        with self.assertRaises(fnimage.Error) as caught:
            self.context().build(directory=str(self.scratch))
        self.assertEqual("not_found", caught.exception.name)
        self.assertIn("fnimage init", caught.exception.hint)
        (self.project / "fnimage.yaml").write_text(SPEC.replace("platforms", "platform"))
        with self.assertRaises(fnimage.Error) as caught:
            self.build(self.context())
        self.assertEqual("invalid_input", caught.exception.name)
        self.assertIn("fnimage.yaml:2:1", str(caught.exception))

    def test_a_registry_that_is_not_there_may_come_back(self):
        context = self.context(plainHttp=True, retries=0)
        self.build(context)
        with self.assertRaises(fnimage.Error) as caught:
            context.publish(image=f"{self.layout}:latest", references=["127.0.0.1:9/probe:1"])
        self.assertEqual("unavailable", caught.exception.name)
        self.assertTrue(caught.exception.is_retryable)

    def test_which_image_each_node_takes(self):
        context = self.context()
        built = {one["platform"]: one["manifest"]["digest"] for one in self.build(context)["platforms"]}
        nodes = context.nodes(resolve_test.listed(
            resolve_test.node("power-1", "ppc64le", "containerd://2.1.4"), resolve_test.node("new-1", "amd64", "cri-o://1.30.2"),
            resolve_test.node("arm-1", "arm64", "containerd://1.7.24")))
        self.assertEqual(3, len(nodes))
        resolver = context.resolver()
        found = resolver.choose(f"{self.layout}:latest", nodes)
        self.assertTrue(found["list"])
        self.assertEqual([("power-1", "taken", built["linux/ppc64le"]), ("new-1", "taken", built["linux/amd64"]),
                          ("arm-1", "no-match", None)],
                         [(one["node"], one["outcome"], one["taken"] and one["taken"]["digest"]) for one in found["nodes"]])
        self.assertIn(built["linux/ppc64le"], found["nodes"][0]["pull"])
        one = resolver.resolve(f"{self.layout}:latest", json.dumps(resolve_test.node("power-2", "ppc64le", "cri-o://1.30.2")))
        self.assertEqual(("power-2", built["linux/ppc64le"]), (one["node"], one["taken"]["digest"]))
        self.assertEqual(found["digest"], one["digest"])
        placed = resolver.place(f"{self.layout}:latest", nodes)
        required = placed["placement"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        self.assertIn({"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "ppc64le"]},
                      required["nodeSelectorTerms"][0]["matchExpressions"])
        self.assertEqual((found["digest"], "affinity"), (placed["digest"], placed["format"]))
        with self.assertRaises(fnimage.Error) as refused:
            resolver.place(f"{self.layout}:latest", format="selector")
        self.assertIn("affinity", refused.exception.hint)
        with self.assertRaises(fnimage.Error):
            resolver.place(f"{self.layout}:latest", variant="gpu")
        resolver.expire(f"{self.layout}:latest")
        self.assertGreaterEqual(resolver.statistics()["refreshes"], 1)

    def test_resolving_what_is_not_there(self):
        context = self.context()
        self.build(context)
        resolver = context.resolver()
        node = json.dumps(resolve_test.node("new-1", "amd64", "containerd://2.1.4"))
        with self.assertRaises(fnimage.Error) as caught:
            resolver.resolve(f"{self.layout}:missing", node)
        self.assertEqual("not_found", caught.exception.name)
        with self.assertRaises(fnimage.Error) as caught:
            resolver.resolve(f"{self.layout}:latest", "{}")
        self.assertEqual("invalid_input", caught.exception.name)
        cancel = fnimage.Cancel(self.library)
        cancel.request()
        with self.assertRaises(fnimage.Error) as caught:
            self.context(plainHttp=True).resolver().resolve("127.0.0.1:9/probe:1", node, cancel)
        self.assertEqual("cancelled", caught.exception.name)

    def test_several_at_once(self):
        context = self.context()
        digests = []
        threads = [threading.Thread(target=lambda: digests.append(
            context.build(directory=str(self.project))["list"]["digest"])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(4, len(digests))
        self.assertEqual(1, len(set(digests)))


if __name__ == "__main__":
    unittest.main()
