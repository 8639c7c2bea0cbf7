"""`fnimage serve` as whoever runs it as a service sees it: its numbers, whether it is alive and ready, and how it ends."""
import base64
import os
import pathlib
import shutil
import socket
import subprocess
import unittest
import urllib.request

import client
import exposition
import registry_process
import samples

METRICS = "text/plain; version=0.0.4; charset=utf-8"


def page_of(one, **headers):
    answer = one.get("/metrics", **headers).expect(200)
    if answer.header("Content-Type") != METRICS:
        raise AssertionError(answer)
    return exposition.Page(answer.body.decode())


class Metrics(registry_process.ServerTest):
    def page(self):
        return page_of(self.client)

    def test_requests_by_method_endpoint_and_code(self):
        before = self.page()
        for _ in range(3):
            self.client.get("/v2/").expect(200)
        self.repository.manifest("none").expect(404)
        self.client.request("BREW", "/v2/").expect(405)
        self.client.get("/v2/%6danifests/x").expect(404)
        after = self.page()

        def more(**labels):
            name = "fnimage_http_requests_total"
            return after.value(name, **labels) - before.value(name, **labels)
        self.assertEqual(3, more(method="GET", endpoint="base", code="200"))
        self.assertEqual(1, more(method="GET", endpoint="manifest", code="404"))
        self.assertEqual(1, more(method="other", endpoint="base", code="405"))
        self.assertEqual(1, more(endpoint="other"))
        self.assertEqual(1, more(endpoint="metrics", code="200"), "the page before")
        count = "fnimage_http_request_duration_seconds_count"
        self.assertEqual(4, after.value(count, endpoint="base") - before.value(count, endpoint="base"))
        self.assertLess(0, after.value("fnimage_http_request_duration_seconds_sum", endpoint="base"))

    def test_content_and_bytes(self):
        before = self.page()
        blob = self.repository.pushed(b"x" * 100_000)
        self.repository.push_at_once(b"y" * 1000, client.digest_of(b"y" * 1000)).expect(201)
        self.repository.push_as_stream(b"z" * 1000, client.digest_of(b"z" * 1000)).expect(201)
        self.repository.blob(blob).expect(200)
        self.repository.blob(blob, range="bytes=0-9").expect(206)
        self.repository.blob(blob, "HEAD").expect(200)
        after = self.page()

        def more(name, **labels):
            return after.value(name, **labels) - before.value(name, **labels)
        self.assertEqual(3, more("fnimage_content_put_total", content="blob"))
        self.assertEqual(2, more("fnimage_content_pulled_total", content="blob"))
        self.assertEqual(102_000, more("fnimage_http_received_bytes_total"))
        sent = more("fnimage_http_sent_bytes_total")
        self.assertTrue(100_010 <= sent <= 200_000, sent)
        self.assertEqual(0, more("fnimage_content_put_total", content="manifest"))
        _, data = samples.pushed_image(self.repository)
        self.repository.put("tag", data, samples.MANIFEST).expect(201)
        self.repository.manifest("tag").expect(200)
        last = self.page()
        self.assertLessEqual(1, last.value("fnimage_content_put_total", content="manifest"))
        self.assertEqual(after.value("fnimage_content_pulled_total", content="manifest") + 1,
                         last.value("fnimage_content_pulled_total", content="manifest"))

    def test_what_is_open(self):
        before = self.page()
        where = self.repository.begun()
        self.assertEqual(before.value("fnimage_uploads") + 1, self.page().value("fnimage_uploads"))
        half = b"PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc" % where.encode()
        with socket.create_connection((self.client.host, self.client.port)) as connection:
            connection.sendall(half)
            registry_process.wait_until(
                lambda: self.page().value("fnimage_http_requests_in_progress") == 2, "this request, and the other")
            self.assertLessEqual(2, self.page().value("fnimage_http_connections"))
        registry_process.wait_until(
            lambda: self.page().value("fnimage_http_requests_in_progress") == 1, "the other client has gone")
        self.client.request("DELETE", where).expect(204)
        self.assertEqual(before.value("fnimage_uploads"), self.page().value("fnimage_uploads"))

    def test_the_process(self):
        page = self.page()
        process = self.server.process.pid
        self.assertEqual(len(os.listdir(f"/proc/{process}/fd")), page.value("process_open_fds"))
        status = pathlib.Path(f"/proc/{process}/limits").read_text()
        self.assertIn(str(int(page.value("process_max_fds"))), status)
        self.assertAlmostEqual(self.server.memory(), page.value("process_resident_memory_bytes"), delta=64 << 20)
        began = pathlib.Path(f"/proc/{process}").stat().st_mtime
        self.assertAlmostEqual(began, page.value("process_start_time_seconds"), delta=60)
        self.assertLess(0, page.value("process_cpu_seconds_total"))
        self.assertEqual(1, page.value("fnimage_build_info"))
        self.assertEqual({"version"}, page.labels("fnimage_build_info"))

    def test_few_series(self):
        for i in range(50):
            self.client.get(f"/v2/name-{i}/tags/list").expect(404)
            self.client.request(f"METHOD{i}", f"/v2/name-{i}/tags/list").expect(405)
        text = self.client.get("/metrics").body.decode()
        self.assertNotIn("name-", text)
        self.assertNotIn("METHOD", text)
        self.assertLess(len(text), 200_000)

    def test_only_for_reading(self):
        self.client.request("POST", "/metrics", b"x").expect(405)
        self.assertEqual(b"", self.client.request("HEAD", "/metrics").expect(200).body)

    @unittest.skipUnless(registry_process.tool("promtool"), "apt-get install prometheus")
    def test_promtool_finds_nothing(self):
        text = self.client.get("/metrics").body
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
        self.assertEqual((0, b""), (done.returncode, done.stdout + done.stderr))


class MetricsApart(registry_process.ServerTest):
    OPTIONS = ("--metrics-addr", "127.0.0.1:0")

    def test_only_at_their_own_address(self):
        apart = client.Client(self.server.metrics_url)
        self.addCleanup(apart.close)
        before = page_of(apart)
        self.client.get("/v2/").expect(200)
        self.client.get("/metrics").expect(404)
        after = page_of(apart)
        self.assertEqual(1, after.value("fnimage_http_requests_total", endpoint="base")
                         - before.value("fnimage_http_requests_total", endpoint="base"))
        apart.get("/v2/").expect(404)
        apart.request("POST", "/v2/a/blobs/uploads/", b"").expect(405)


@unittest.skipUnless(shutil.which("htpasswd"), "apt-get install apache2-utils")
class MetricsWithAccess(unittest.TestCase):
    RULES = "ann team/* pull\nbob team/* push\n"

    def setUp(self):
        self.stack = registry_process.contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.scratch = pathlib.Path(self.stack.enter_context(
            registry_process.tempfile.TemporaryDirectory(prefix="fnimage-serve-")))
        for user in ("ann", "bob"):
            subprocess.run(["htpasswd", "-iB", "-C", "4", *([] if user == "bob" else ["-c"]), self.scratch / "users", user],
                           input=f"{user}-secret", text=True, check=True, capture_output=True)
        (self.scratch / "rules").write_text(self.RULES)
        self.tokens = {}
        for name, rights in (("scraper", "pull"), ("pusher", "push")):
            made = subprocess.run([registry_process.FNIMAGE, "serve", "token", name, "--tokens", self.scratch / "tokens",
                                   "--repository", "team/*", "--rights", rights], check=True, capture_output=True, text=True,
                                  env=registry_process.environment(self.scratch))
            self.tokens[name] = made.stdout.split()[-1]

    def serve(self, *options):
        server = registry_process.Server(
            self.scratch / "store", "--htpasswd", self.scratch / "users", "--access", self.scratch / "rules",
            "--tokens", self.scratch / "tokens", *options, home=self.scratch)
        self.stack.callback(server.stop)
        one = server.client()
        self.stack.callback(one.close)
        return server, one

    @staticmethod
    def basic(user, password=None):
        return "Basic " + base64.b64encode(f"{user}:{password or user + '-secret'}".encode()).decode()

    def test_whoever_may_pull_something_sees_them(self):
        _, one = self.serve()
        self.assertIn("Basic", one.get("/metrics").expect(401).header("WWW-Authenticate"))
        one.get("/metrics", authorization=self.basic("ann", "wrong")).expect(401)
        one.get("/metrics", authorization=self.basic("bob")).expect(403)
        one.get("/metrics", authorization="Bearer " + self.tokens["pusher"]).expect(403)
        one.get("/metrics", authorization="Bearer " + self.tokens["scraper"]).expect(200)
        page = page_of(one, authorization=self.basic("ann"))
        self.assertEqual(1, page.value("fnimage_authentication_failures_total"), "the wrong password alone")

    def test_an_address_of_their_own_asks_for_nothing(self):
        server, one = self.serve("--metrics-addr", "127.0.0.1:0")
        one.get("/metrics", authorization=self.basic("ann")).expect(404)
        with urllib.request.urlopen(server.metrics_url + "/metrics", timeout=client.PATIENCE) as answer:
            exposition.read(answer.read().decode())


if __name__ == "__main__":
    registry_process.main()
