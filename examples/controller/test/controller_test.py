"""The controller as the API server meets it: recorded AdmissionReviews over verified TLS, and what becomes of the pods, judged by
the scheduler's rules over the nodes of a cluster.

Usage: controller_test.py FNIMAGE SOURCE PROGRAM"""
import base64
import contextlib
import copy
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.argv[3]).resolve()
sys.path.insert(0, str(pathlib.Path(sys.argv[2]) / "test/cli"))
import command  # noqa: E402  pylint: disable=wrong-import-position
import lists_test  # noqa: E402  pylint: disable=wrong-import-position
import resolve_test  # noqa: E402  pylint: disable=wrong-import-position

GPU = "requires: {gpu: {vendor: nvidia, memory: 16Gi}}\n"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def node(name, arch, taints=(), allocatable=None, runtime="containerd://2.1.4", **labels):
    made = resolve_test.node(name, arch, runtime, labels=labels)
    made["spec"]["taints"] = list(taints)
    made["status"]["allocatable"] |= allocatable or {}
    return made


GPU_NODE = node("gpu", "amd64", taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
                allocatable={"nvidia.com/gpu": "2"}, **{"nvidia.com/gpu.memory": "40960"})
NODES = [node("amd64-ssd", "amd64", **{"openwhisk-role": "invoker", "disk": "ssd", "zone": "a"}),
         node("power-ssd", "ppc64le", runtime="cri-o://1.30.2", **{"openwhisk-role": "invoker", "disk": "ssd", "zone": "b"}),
         node("power-plain", "ppc64le", zone="a"),
         node("arm", "arm64", **{"openwhisk-role": "invoker", "disk": "ssd"}), GPU_NODE]


# ---- the scheduler ----

def holds(expression, labels):
    value = labels.get(expression["key"])
    return {"In": lambda: value in expression["values"], "NotIn": lambda: value not in expression["values"],
            "Exists": lambda: value is not None, "DoesNotExist": lambda: value is None,
            "Gt": lambda: value is not None and int(value) > int(expression["values"][0]),
            "Lt": lambda: value is not None and int(value) < int(expression["values"][0])}[expression["operator"]]()


def tolerates(toleration, taint):
    return (toleration.get("effect", taint["effect"]) == taint["effect"] and toleration.get("key", taint["key"]) == taint["key"] and
            (toleration.get("operator", "Equal") == "Exists" or toleration.get("value", "") == taint.get("value", "")))


def lands_on(pod, one):
    spec, labels = pod["spec"], one["metadata"]["labels"]
    if any(labels.get(key) != value for key, value in spec.get("nodeSelector", {}).items()):
        return False
    terms = spec.get("affinity", {}).get("nodeAffinity", {}).get(REQUIRED, {}).get("nodeSelectorTerms")
    if terms is not None and not any(term.get("matchExpressions") and all(holds(e, labels) for e in term["matchExpressions"])
                                     for term in terms):
        return False
    if any(taint["effect"] != "PreferNoSchedule" and not any(tolerates(t, taint) for t in spec.get("tolerations", []))
           for taint in one["spec"].get("taints", [])):
        return False
    wanted = sum(int(c.get("resources", {}).get("limits", {}).get("nvidia.com/gpu", 0)) for c in spec["containers"])
    return wanted <= int(one["status"]["allocatable"].get("nvidia.com/gpu", 0))


def nodes_of(pod):
    return {one["metadata"]["name"] for one in NODES if lands_on(pod, one)}


# ---- RFC 6902, as far as it is used ----

def patched(document, patch):
    document = copy.deepcopy(document)
    for operation in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target = document
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        if isinstance(target, list):
            place = len(target) if last == "-" else int(last)
            if operation["op"] == "add":
                target.insert(place, operation["value"])
            elif operation["op"] == "remove":
                del target[place]
            else:
                target[place] = operation["value"]
        elif operation["op"] == "remove":
            del target[last]
        else:
            if operation["op"] == "replace" and last not in target:
                raise AssertionError(f"nothing to replace at {operation['path']}")
            target[last] = operation["value"]
    return document


def certificate(directory, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "next.key", "-out", "next.crt"],
                   cwd=directory, check=True, capture_output=True)
    os.replace(directory / "next.key", directory / "tls.key")
    os.replace(directory / "next.crt", directory / "tls.crt")


def is_open(client):
    """Whether the server has neither said anything on this connection nor closed it."""
    client.setblocking(False)
    try:
        client.recv(1)
    except (ssl.SSLWantReadError, BlockingIOError):
        return True
    except OSError:
        pass
    return False


class ControllerCase(command.CommandTest):
    def setUp(self):
        super().setUp()
        servers = contextlib.ExitStack()
        self.addCleanup(servers.close)
        self.registry = servers.enter_context(lists_test.registry())
        self.stop_registry = servers.close
        self.image = f"{self.registry}/team/digits:latest"
        self.digest = self.publish(self.image)
        for directory in ("nodes", "functions", "tls"):
            (self.scratch / directory).mkdir()
        self.write_nodes(NODES)
        self.write_functions({"images": f"{self.registry}/team/*"})
        certificate(self.scratch / "tls", "first")

    def publish(self, image, more=""):
        self.write_spec(command.SPEC + more)
        self.succeed("build", "-q", "--push", "--plain-http", "-t", image, ".")
        return json.loads(self.succeed("inspect", "--json", "--plain-http", image).stdout)["digest"]

    def write_nodes(self, nodes):
        self.replace("nodes/nodes.json", resolve_test.listed(*nodes))

    def write_functions(self, *functions):
        self.replace("functions/functions.json", json.dumps(functions))

    def replace(self, name, text):
        path = self.scratch / name
        path.with_suffix(".new").write_text(text)
        os.replace(path.with_suffix(".new"), path)

    def start(self, *options):
        log = open(self.scratch / "log", "w", encoding="utf-8")  # pylint: disable=consider-using-with
        self.addCleanup(log.close)
        # pylint: disable-next=consider-using-with
        self.server = subprocess.Popen(
            [PROGRAM, "--listen=127.0.0.1:0", "--cert", "tls/tls.crt", "--key", "tls/tls.key", "--nodes", "nodes",
             "--functions", "functions", "--plain-http", *options],
            cwd=self.scratch, env=self.environment(), stdout=subprocess.PIPE, stderr=log, text=True)
        self.addCleanup(self.server.stdout.close)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)
        line = self.server.stdout.readline()
        self.assertRegex(line, r"^listening on https://127\.0\.0\.1:\d+$", (self.scratch / "log").read_text())
        self.port = int(line.rsplit(":", 1)[1])

    def tls(self):
        return ssl.create_default_context(cafile=self.scratch / "tls/tls.crt")

    def connect(self):
        return contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls()))

    def ask(self, method, path, body=None):
        with self.connect() as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def eventually(self, check, tries=200):
        """Files are looked at again every second."""
        for _ in range(tries):
            if check():
                return
            time.sleep(0.1)
        self.fail("it has not come to that")

    def recorded(self, name, image=None):
        return json.loads((HERE / f"requests/{name}.json").read_text().replace("@IMAGE@", image or self.image))

    def review(self, review):
        status, body = self.ask("POST", "/mutate?timeout=10s", json.dumps(review))
        self.assertEqual(200, status, body)
        answer = json.loads(body)
        self.assertEqual(("admission.k8s.io/v1", "AdmissionReview"), (answer["apiVersion"], answer["kind"]))
        self.assertEqual(review["request"]["uid"], answer["response"]["uid"])
        return answer["response"]

    def place(self, name, image=None, again=True):
        """The pod of a recorded request as it is after the patch."""
        review = self.recorded(name, image)
        response = self.review(review)
        self.assertTrue(response["allowed"], response)
        self.assertEqual("JSONPatch", response.get("patchType"), response)
        pod = patched(review["request"]["object"], json.loads(base64.b64decode(response["patch"])))
        if again:
            review["request"]["object"] = pod
            self.assertNotIn("patch", self.review(review))
        self.warnings = response.get("warnings", [])
        return pod

    def leaves(self, name, *fragments, image=None):
        response = self.review(self.recorded(name, image))
        self.assertTrue(response["allowed"])
        self.assertNotIn("patch", response)
        warnings = "\n".join(response.get("warnings", []))
        for fragment in fragments:
            self.assertIn(fragment, warnings)
        if not fragments:
            self.assertEqual("", warnings)

    def metrics(self):
        lines = self.ask("GET", "/metrics")[1].splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


@unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
class ControllerTest(ControllerCase):
    def test_pods_land_where_their_image_runs(self):
        self.start()
        pod = self.place("deployment")
        self.assertEqual({"amd64-ssd", "power-ssd", "power-plain"}, nodes_of(pod))
        self.assertEqual(f"{self.image}@{self.digest}", pod["spec"]["containers"][0]["image"])
        self.assertEqual("applied", pod["metadata"]["annotations"]["fnimage.io/placement"])
        self.assertEqual([], self.warnings)

    def test_openwhisk_keeps_its_own_term(self):
        self.start()
        pod = self.place("openwhisk")
        self.assertEqual({"amd64-ssd", "power-ssd"}, nodes_of(pod))
        self.assertEqual(1, len(pod["spec"]["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]))

    def test_sidecars_are_not_touched(self):
        self.start()
        sidecar = self.recorded("knative")["request"]["object"]["spec"]["containers"][1]
        pod = self.place("knative")
        self.assertEqual({"amd64-ssd", "power-ssd", "power-plain"}, nodes_of(pod))
        self.assertEqual(sidecar, pod["spec"]["containers"][1])

    def test_every_term_of_the_pod_is_narrowed(self):
        self.start()
        pod = self.place("several-terms")
        self.assertEqual({"amd64-ssd", "power-ssd", "power-plain"}, nodes_of(pod))
        self.assertIn("podAntiAffinity", pod["spec"]["affinity"])
        one_platform = f"{self.registry}/team/power:latest"
        self.write_spec(command.SPEC.replace("linux/amd64, ", ""))
        self.succeed("build", "-q", "--push", "--plain-http", "-t", one_platform, ".")
        self.assertEqual({"power-ssd", "power-plain"}, nodes_of(self.place("several-terms", one_platform)))

    def test_containers_have_their_nodes_in_common(self):
        self.start()
        self.write_spec(command.SPEC.replace("linux/amd64", "linux/arm64"))
        other = f"{self.registry}/team/other:latest"
        self.succeed("build", "-q", "--push", "--plain-http", "-t", other, ".")
        review = self.recorded("init")
        review["request"]["object"]["spec"]["containers"][0]["image"] = other
        response = self.review(review)
        pod = patched(review["request"]["object"], json.loads(base64.b64decode(response["patch"])))
        self.assertEqual({"power-ssd", "power-plain"}, nodes_of(pod))
        self.assertEqual({"power-ssd", "power-plain", "amd64-ssd"}, nodes_of(self.place("init")))

    def test_needs_only_ever_raise_what_a_pod_asks_for(self):
        self.publish(self.image, "requires: {cpu: 2, memory: 8Gi}\n")
        self.start()
        resources = self.place("resources")["spec"]["containers"][0]["resources"]
        self.assertEqual({"cpu": "8", "memory": "8Gi"}, resources["requests"])
        self.assertEqual("8Gi", resources["limits"]["memory"])

    def test_the_best_variant_that_a_ready_node_takes(self):
        self.publish(self.image, "variants: [gpu]\n")
        fast = self.publish(f"{self.image}-gpu", GPU)
        self.start()
        pod = self.place("deployment")
        self.assertEqual({"gpu"}, nodes_of(pod))
        self.assertEqual(f"{self.image}-gpu@{fast}", pod["spec"]["containers"][0]["image"])
        self.assertEqual("1", pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
        away = copy.deepcopy(GPU_NODE)
        away["status"]["conditions"][0]["status"] = "Unknown"
        self.write_nodes([*NODES[:-1], away])
        self.eventually(lambda: nodes_of(self.place("deployment")) == {"amd64-ssd", "power-ssd", "power-plain"})

    def test_a_variant_is_of_a_node_that_the_pod_may_go_to(self):
        self.publish(self.image, "variants: [gpu]\n")
        fast = self.publish(f"{self.image}-gpu", GPU)
        self.start()
        pod = self.place("openwhisk")  # the node with the GPU is no invoker
        self.assertEqual({"amd64-ssd", "power-ssd"}, nodes_of(pod))
        self.assertNotIn("-gpu", pod["spec"]["containers"][0]["image"])
        chosen = copy.deepcopy(NODES)
        chosen[-1]["metadata"]["labels"]["openwhisk-role"] = "invoker"
        self.write_nodes(chosen)
        self.eventually(lambda: self.place("openwhisk")["spec"]["containers"][0]["image"] == f"{self.image}-gpu@{fast}")
        for selector, terms, is_fast in (({"disk": "ssd"}, None, False), ({"nvidia.com/gpu.memory": "40960"}, None, True),
                                         ({}, [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["arm"]}]}], False),
                                         ({}, [{"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]}], True)):
            with self.subTest(selector=selector, terms=terms):
                review = self.recorded("deployment")
                spec = review["request"]["object"]["spec"]
                spec["nodeSelector"] = selector
                if terms:
                    spec["affinity"] = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}
                response = self.review(review)
                pod = patched(review["request"]["object"], json.loads(base64.b64decode(response["patch"])))
                self.assertEqual(is_fast, "-gpu@" in pod["spec"]["containers"][0]["image"])

    def test_pods_that_choose_are_left_alone(self):
        self.start()
        self.leaves("own-arch", "its nodeSelector says where it runs", "no image for s390x")
        self.leaves("own-affinity", "its nodeAffinity says where it runs")
        self.leaves("node-name", "its nodeName says where it runs")
        for name in ("off", "other-image", "delete", "ephemeral", "replica-set"):
            with self.subTest(name):
                self.leaves(name)

    def test_a_function_says_its_runtimes(self):
        """The nodes' containerd takes x86_64 for amd64; CRI-O does not."""
        manifest = f"http://{self.registry}/v2/team/digits/manifests/"
        kind = "application/vnd.oci.image.index.v1+json"
        with urllib.request.urlopen(urllib.request.Request(manifest + "latest", headers={"Accept": kind})) as answer:
            entries = json.load(answer)
        for entry in entries["manifests"]:
            if entry["platform"]["architecture"] == "amd64":
                entry["platform"]["architecture"] = "x86_64"
        urllib.request.urlopen(urllib.request.Request(manifest + "odd", json.dumps(entries).encode(), {"Content-Type": kind}, method="PUT")).close()
        odd = self.image.replace(":latest", ":odd")
        self.start()
        self.assertEqual({"amd64-ssd", "power-ssd", "power-plain"}, nodes_of(self.place("deployment", odd)))
        self.write_functions({"images": f"{self.registry}/team/*", "runtimes": ["containerd:2.1", "cri-o"]})
        self.eventually(lambda: nodes_of(self.place("deployment", odd, again=False)) == {"power-ssd", "power-plain"})
        self.assertIn("CRI-O", "\n".join(self.warnings))

    def test_without_pinning(self):
        self.write_functions({"images": "*/team/*", "pin": False})
        self.start()
        self.assertEqual(self.image, self.place("deployment")["spec"]["containers"][0]["image"])

    def test_fails_open(self):
        self.start()
        missing = f"{self.registry}/team/missing:1"
        self.leaves("deployment", "cannot place", "team/missing:1", image=missing)
        self.assertIn('result="failed_open"} 1', self.ask("GET", "/metrics")[1])

    def test_fails_closed(self):
        self.start("--fail", "closed")
        missing = f"{self.registry}/team/missing:1"
        response = self.review(self.recorded("deployment", missing))
        self.assertFalse(response["allowed"])
        self.assertEqual(403, response["status"]["code"])
        self.assertIn("team/missing:1", response["status"]["message"])
        self.write_functions({"images": f"{self.registry}/team/*", "fail": "open"})
        self.eventually(lambda: self.review(self.recorded("deployment", missing))["allowed"])

    def test_goes_on_while_the_registry_is_away(self):
        self.start()
        self.place("deployment")
        self.stop_registry()
        self.assertEqual({"amd64-ssd", "power-ssd", "power-plain"}, nodes_of(self.place("deployment")))

    def test_what_a_registry_said_before_it_went_away(self):
        self.start("--tag-lifetime", "0")
        self.place("deployment", again=False)
        self.assertEqual(([], 0), (self.warnings, self.metrics()["fnimage_resolver_stale_total"]))
        self.stop_registry()
        self.assertEqual({"amd64-ssd", "power-ssd", "power-plain"}, nodes_of(self.place("deployment", again=False)))
        self.assertRegex("\n".join(self.warnings), "team/digits:latest: its registry is away; this is what it said [0-9]+ s ago")
        self.assertEqual(1, self.metrics()["fnimage_resolver_stale_total"])

    def test_metrics(self):
        self.write_functions({"images": "127.0.0.1:*"})
        self.start("--deadline", "1")
        names = ("hits_total", "refreshes_total", "failures_total", "stale_total", "images")

        def resolver():
            return [self.metrics()[f"fnimage_resolver_{name}"] for name in names]
        self.assertEqual([0, 0, 0, 0, 0], resolver())
        for _ in range(4):
            self.place("deployment", again=False)
        self.assertEqual([3, 1, 0, 0, 1], resolver())
        self.leaves("deployment", "cannot place", image=f"{self.registry}/team/missing:1")
        self.assertEqual([3, 2, 1, 0, 2], resolver())
        self.assertGreater(self.metrics()["fnimage_resolver_bytes"], 0)
        self.leaves("other-image")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            before = self.metrics()
            self.leaves("deployment", "cannot place", image=f"127.0.0.1:{silent.getsockname()[1]}/team/digits:latest")
        after = self.metrics()
        results = {kind: after[f'fnimage_admission_requests_total{{result="{kind}"}}'] for kind in
                   ("unchanged", "patched", "denied", "failed_open", "malformed")}
        self.assertEqual({"unchanged": 1, "patched": 4, "denied": 0, "failed_open": 2, "malformed": 0}, results)
        below = [value for name, value in after.items() if name.startswith("fnimage_admission_seconds_bucket")]
        self.assertEqual(sorted(below), below)
        self.assertEqual((10, 7, 7), (len(below), below[-1], after["fnimage_admission_seconds_count"]))
        grown = {name: after[name] - before[name] for name in after if name.startswith("fnimage_admission_seconds")}
        self.assertEqual((0, 1), (grown['fnimage_admission_seconds_bucket{le="0.5"}'], grown['fnimage_admission_seconds_bucket{le="+Inf"}']))
        self.assertGreaterEqual(grown["fnimage_admission_seconds_sum"], 1)

    def test_a_registry_that_says_nothing_does_not_hold_it_up(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.write_functions({"images": "127.0.0.1:*"})
            self.start("--deadline", "2")
            self.leaves("deployment", "cannot place", image=f"127.0.0.1:{silent.getsockname()[1]}/team/digits:latest")

    def test_nodes_that_change(self):
        self.start()
        self.assertEqual((200, "ok\n"), self.ask("GET", "/readyz"))
        self.replace("nodes/nodes.json", "{")
        self.eventually(lambda: self.ask("GET", "/readyz")[0] == 503)
        self.assertIn("nodes.json", self.ask("GET", "/readyz")[1])
        self.assertEqual(200, self.ask("GET", "/healthz")[0])
        self.assertIn(f"fnimage_nodes {len(NODES)}\n", self.ask("GET", "/metrics")[1])
        self.write_nodes(NODES[:2])
        self.eventually(lambda: self.ask("GET", "/readyz")[0] == 200)
        self.assertIn("fnimage_nodes 2\n", self.ask("GET", "/metrics")[1])

    def test_a_container_has_no_home(self):
        self.environment = lambda: {"PATH": os.environ["PATH"]}
        self.start()
        self.assertEqual((200, "ok\n"), self.ask("GET", "/readyz"))

    def test_a_renewed_certificate(self):
        self.start()
        self.ask("GET", "/healthz")
        certificate(self.scratch / "tls", "second")

        def is_served():
            with contextlib.suppress(ssl.SSLError):
                return self.ask("GET", "/healthz")[0] == 200
            return False
        self.eventually(is_served)

    def test_what_is_no_review(self):
        self.start()
        pod = self.recorded("deployment")
        broken = [b"", b"{", b"[]", b"{}", b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}',
                  json.dumps(pod | {"apiVersion": "admission.k8s.io/v1beta1"}).encode(), b"[" * 100_000,
                  json.dumps(pod | {"request": pod["request"] | {"object": {"kind": "Pod"}}}).encode()]
        for body in broken:
            with self.subTest(body[:60]):
                self.assertEqual(400, self.ask("POST", "/mutate", body)[0])
        self.assertEqual(413, self.ask("POST", "/mutate", b" " * (4 << 20))[0])
        self.assertEqual(405, self.ask("GET", "/mutate")[0])
        self.assertIn('result="malformed"} 8', self.ask("GET", "/metrics")[1])
        strange = self.recorded("deployment")
        strange["request"]["object"]["spec"] |= {"affinity": "here", "tolerations": 3, "nodeSelector": []}
        self.assertNotIn("patch", self.review(strange))

    def test_ends_when_it_is_told_to(self):
        self.start()
        with socket.create_connection(("127.0.0.1", self.port)):  # a client that says nothing
            self.place("deployment")
            self.server.send_signal(signal.SIGTERM)
            self.assertEqual(0, self.server.wait())

    def test_whoever_has_asked_is_answered_at_the_end(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.write_functions({"images": "127.0.0.1:*"})
            self.start("--deadline", "2")
            review = self.recorded("deployment", f"127.0.0.1:{silent.getsockname()[1]}/team/digits:latest")
            with self.connect() as connection:
                connection.request("POST", "/mutate", json.dumps(review), {"Content-Type": "application/json"})
                asked, _ = silent.accept()  # so the request is under way
                with asked:
                    self.server.send_signal(signal.SIGTERM)
                    answer = connection.getresponse()
                    self.assertTrue(json.loads(answer.read())["response"]["allowed"])
                    connection.close()
                    self.assertEqual(0, self.server.wait())  # with the registry still silent

    def test_ends_at_once_after_it_began(self):
        for _ in range(20):
            self.start()
            self.server.send_signal(signal.SIGTERM)
            self.assertEqual(0, self.server.wait())

    def test_what_it_is_started_with(self):
        for options, fragment in ((["--port", "1"], "unknown argument --port"), (["--fail"], "needs a value"),
                                  (["--tag-lifetime", "soon"], "--tag-lifetime is no number"),
                                  (["--fail", "maybe"], "neither open nor closed"), ([], "--cert is missing")):
            done = subprocess.run([PROGRAM, *options], capture_output=True, text=True, check=False)
            self.assertEqual(1, done.returncode)
            self.assertIn(fragment, done.stderr)
        self.assertIn("--functions DIR", subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout)


@unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
class ClientsTest(ControllerCase):
    """Clients that are slow, many, or no clients at all."""

    def open(self, sent=b"", tls=True):
        client = socket.create_connection(("127.0.0.1", self.port))
        if tls:
            client = self.context.wrap_socket(client, server_hostname="127.0.0.1")
        self.addCleanup(client.close)
        client.sendall(sent)
        return client

    def start(self, *options):
        super().start(*options)
        self.context = self.tls()

    def exchange(self, sent):
        """What the server says until it closes the connection."""
        client = self.open(sent)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))

    def request(self, image=None, target="/mutate?timeout=10s"):
        body = json.dumps(self.recorded("deployment", image)).encode()
        return f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def answer_on(self, client):
        client.setblocking(True)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        self.assertEqual(200, answer.status)
        return json.loads(answer.read())["response"]

    def test_slow_clients_keep_nobody_waiting(self):
        self.start()
        self.place("deployment")
        beginnings = (b"POST /mutate HTTP/1.1\r\nX: ", b"POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
        slow = [self.open(beginnings[i % 2]) for i in range(180)]
        silent = [self.open() for _ in range(120)]
        begun = [self.open(b"\x16\x03\x01"[:i % 4], tls=False) for i in range(120)]
        clients = slow + silent + begun

        def send_one_byte():
            for client in slow:
                with contextlib.suppress(OSError):
                    client.sendall(b"a")
        for _ in range(3):
            send_one_byte()
            self.place("deployment")
            self.assertEqual((200, "ok\n"), self.ask("GET", "/healthz"))
        self.assertEqual(len(clients), sum(map(is_open, clients)))

        def are_cut():
            send_one_byte()
            clients[:] = filter(is_open, clients)
            return not clients
        self.eventually(are_cut, tries=600)
        self.place("deployment")

    def test_more_clients_than_there_is_room_for(self):
        most = 1024
        self.start()
        allowed, limit = resource.getrlimit(resource.RLIMIT_NOFILE)  # the server has seen to its own
        if limit < 2 * most:
            self.skipTest("too few files may be open")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, 2 * most), limit))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (allowed, limit))
        clients = []
        with self.connect() as connection:  # one that goes on asking keeps its place
            for _ in range(12):
                clients += [self.open(tls=False) for _ in range(100)]
                connection.request("GET", "/healthz")
                self.assertEqual(b"ok\n", connection.getresponse().read())
        self.place("deployment")
        self.assertLess(sum(map(is_open, clients)), most)
        self.assertFalse(is_open(clients[0]))

    def test_bodies_have_their_room(self):
        self.start()
        large = b"POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n"
        clients = [self.open(large) for _ in range(40)]
        self.place("deployment")
        self.assertEqual((False, True), (is_open(clients[0]), is_open(clients[-1])))
        self.assertEqual(400, int(self.exchange(large.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b" " * 3_000_000).split()[1]))

    def test_decisions_that_wait_hold_up_nothing_else(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.write_functions({"images": "127.0.0.1:*"})
            self.start("--deadline", "4")
            image = f"127.0.0.1:{silent.getsockname()[1]}/team/digits:latest"
            clients = [self.open(self.request(image)) for _ in range(150)]  # more than there are threads
            self.assertEqual((200, "ok\n"), self.ask("GET", "/healthz"))
            self.assertIn("cannot place", self.answer_on(self.open(self.request(image, "/mutate?a=b&timeout=1s")))["warnings"][0])
            self.assertEqual(len(clients), sum(map(is_open, clients)))  # their time is not up
            for client in clients:
                self.assertIn("cannot place", self.answer_on(client)["warnings"][0])

    def test_the_end_comes_for_those_who_have_not_asked(self):
        self.start()
        request = self.request()
        idle, half = self.open(request), self.open(request[:-100])
        self.answer_on(idle)
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(b"", idle.recv(1))
        half.sendall(request[-100:])
        self.assertIn("patch", self.answer_on(half))
        self.assertEqual(b"", half.recv(1))
        half.close()
        self.assertEqual(0, self.server.wait())

    def test_the_end_waits_for_no_slow_client(self):
        self.start()
        slow = [self.open(self.request()[:-100]) for _ in range(10)] + [self.open(), self.open(tls=False)]
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(0, self.server.wait())
        self.assertFalse(any(map(is_open, slow)))

    def test_a_port_is_for_one(self):
        self.start()
        done = subprocess.run([PROGRAM, f"--listen=127.0.0.1:{self.port}", "--cert", "tls/tls.crt", "--key", "tls/tls.key", "--nodes", "nodes",
                               "--functions", "functions"], cwd=self.scratch, capture_output=True, text=True, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn(f"cannot listen on 127.0.0.1:{self.port}", done.stderr)

    def test_one_connection_for_many_requests(self):
        self.start()
        with self.connect() as connection:
            for method, path, status, allow in (
                    ("GET", "/healthz", 200, None), ("HEAD", "/metrics", 200, None), ("GET", "/", 404, None), ("PUT", "/healthz", 405, "GET, HEAD"),
                    ("GET", "/mutate?timeout=1s", 405, "POST"), ("POST", "/mutate", 400, None), ("BREW", "/readyz?x", 405, "GET, HEAD"),
                    ("HEAD", "/mutate", 405, "POST")):
                with self.subTest(method=method, path=path):
                    connection.request(method, path)
                    socket_before = connection.sock
                    answer = connection.getresponse()
                    self.assertEqual((status, allow), (answer.status, answer.headers["Allow"]))
                    self.assertGreater(int(answer.headers["Content-Length"]), 0)
                    self.assertEqual(method == "HEAD", not answer.read())
                    self.assertIs(socket_before, connection.sock)
            for body in (iter([b"{", b"}"]), b"{}"):  # the first is sent in chunks
                connection.request("POST", "/mutate", body)
                answer = connection.getresponse()
                self.assertEqual((400, False), (answer.status, not answer.read()))

    def test_what_is_http(self):
        self.start()
        get = b"GET /healthz HTTP/1.%d\r\nHost: h\r\n"
        for sent, statuses in ((get % 0 + b"\r\n", [200]), (get % 0 + b"Connection: keep-alive\r\n\r\n" + get % 0 + b"\r\n", [200, 200]),
                               (get % 1 + b"\r\n" + get % 1 + b"Connection: close\r\n\r\n", [200, 200]), (b"nonsense\r\n\r\n", [400]),
                               (b"GET / HTTP/2.0\r\n\r\n", [400]), (get % 1 + b"\r\n\x16\x03\x01\r\n\r\n", [200, 400]),
                               (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", [400]),
                               (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", [400]),
                               (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 4, [413]),
                               (get % 1 + b"X: " + b"x" * 70_000 + b"\r\n\r\n", [431])):
            with self.subTest(sent[:60]):
                answers = self.exchange(sent).split(b"HTTP/1.")[1:]
                self.assertEqual(statuses, [int(answer.split()[1]) for answer in answers])
        careful = self.open(self.request().replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", careful.recv(100))
        careful.sendall(self.request().partition(b"\r\n\r\n")[2])
        self.assertIn("patch", self.answer_on(careful))

    def test_an_older_tls(self):
        self.start()
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertIn(b"200", self.exchange(b"GET /healthz HTTP/1.0\r\n\r\n"))


if __name__ == "__main__":
    command.main()
