#!/usr/bin/env python3
"""`fnimage serve` and the clients that people have: fnimage itself, skopeo, podman, docker; and its directory, which is
OCI layouts for umoci, skopeo and fnimage, with the server or without it. A tool that is missing is a test skipped, with
the reason."""
import contextlib
import json
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import unittest

import registry_process
import samples
from client import digest_of
from registry_process import FNIMAGE, environment, tool

SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
runtime: none
source: {main: handler.py}
"""
ARCHITECTURES = ("amd64", "ppc64le", "s390x", "arm64")


def needs(name):
    return unittest.skipUnless(tool(name), f"{name} is not installed")


class ClientsTest(registry_process.ServerTest):
    SCHEME = ("--plain-http",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.project = cls.scratch / "project"
        cls.project.mkdir()
        (cls.project / "handler.py").write_text("def main(args):\n    return {}\n")
        (cls.project / "fnimage.yaml").write_text(SPEC)

    def setUp(self):
        super().setUp()
        self.home = pathlib.Path(tempfile.mkdtemp(dir=self.scratch, prefix="home-"))
        self.name = f"{self.client.address}/{self.repository.name}"

    def run_tool(self, *words, **options):
        return subprocess.run([str(word) for word in words], cwd=self.project, env=environment(self.home), text=True,
                              capture_output=True, check=False, **options)

    def succeed(self, *words):
        done = self.run_tool(*words)
        self.assertEqual(0, done.returncode, f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def fnimage(self, command, *arguments):
        """With what the server's address needs."""
        return self.succeed(FNIMAGE, *command.split(), *self.SCHEME, *arguments)

    def skopeo(self, command, *arguments):
        return self.succeed("skopeo", "--insecure-policy", command, *arguments)

    def pushed(self, tag="v1"):
        """Builds an image of two platforms and pushes it; its digest."""
        built = json.loads(self.fnimage("build", "--push", "--json", "-t", f"{self.name}:{tag}"))
        return built["list"]["digest"]

    def digest(self, where):
        return self.fnimage("digest", where).strip().rpartition("@")[2]

    def served(self, tag):
        return self.repository.manifest(tag).expect(200).header("Docker-Content-Digest")


class Fnimage(ClientsTest):
    def test_life_of_an_image(self):
        digest = self.pushed()
        self.assertEqual(digest, self.pushed("again"))  # all is there already
        self.assertEqual(digest, self.served("v1"))
        self.assertEqual(digest, self.digest(f"{self.name}:again"))
        for platform in ("linux/amd64", "linux/ppc64le"):
            self.assertIn(platform, self.fnimage("inspect", f"{self.name}:v1"))
        self.assertLessEqual({"v1", "again", "v1-amd64", "v1-ppc64le"}, set(self.fnimage("tags", self.name).split()))
        self.fnimage("tag", f"{self.name}:v1", "stable")
        self.assertEqual(digest, self.served("stable"))
        self.fnimage("copy", f"{self.name}:v1", f"{self.client.address}/copied/to:v2")
        shutil.rmtree(self.home)
        self.home.mkdir()
        self.fnimage("pull", f"{self.client.address}/copied/to:v2")
        self.fnimage("copy", f"{self.client.address}/copied/to:v2", f"oci:{self.home}/layout:v3")
        self.assertEqual(digest, self.digest(f"oci:{self.home}/layout:v3"))
        self.fnimage("copy", f"oci:{self.home}/layout:v3", f"{self.name}:back")
        self.assertEqual(digest, self.served("back"))
        self.fnimage("rm", f"{self.name}:stable")
        self.repository.manifest("stable").expect(404)
        self.repository.manifest("v1").expect(200)
        self.fnimage("push", f"{self.client.address}/copied/to:v2", "-t", f"{self.name}:docker", "--format", "docker")
        answer = self.repository.manifest("docker").expect(200)
        self.assertEqual(samples.DOCKER_LIST, answer.header("Content-Type"))

    def test_what_is_not_there(self):
        self.pushed()
        for name in (f"{self.name}:absent", f"{self.client.address}/never/made:v1"):
            done = self.run_tool(FNIMAGE, "inspect", *self.SCHEME, name)
            self.assertEqual(4, done.returncode, done.stderr)

    def test_lists(self):
        for arch in ARCHITECTURES:
            self.fnimage("build", "-q", "--push", "--platform", f"linux/{arch}", "-t", f"{self.name}:{arch}")
        listed = lambda: [entry["platform"]["architecture"]
                          for entry in self.repository.manifest("all").expect(200).json()["manifests"]]
        self.fnimage("manifest create", "--push", f"{self.name}:all", f"{self.name}:amd64", f"{self.name}:arm64")
        self.fnimage("manifest add", "--push", f"{self.name}:all", f"{self.name}:s390x")
        self.fnimage("manifest annotate", "--push", f"{self.name}:all", "s390x", "--annotation", "gpu=no")
        self.fnimage("manifest remove", "--push", f"{self.name}:all", "linux/arm64")
        self.assertEqual(["amd64", "s390x"], listed())
        self.assertIn("gpu", self.fnimage("manifest inspect", f"{self.name}:all"))

    def test_publishers_at_once_lose_nothing(self):
        for arch in ARCHITECTURES:
            self.fnimage("build", "-q", "--push", "--platform", f"linux/{arch}", "-t", f"{self.name}:{arch}")
        for number in range(3):
            running = [subprocess.Popen([FNIMAGE, "manifest", "add", "--push", *self.SCHEME, f"{self.name}:raced-{number}",
                                         f"{self.name}:{arch}"], cwd=self.project, env=environment(self.home),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                       for arch in ARCHITECTURES]
            for process in running:
                _, messages = process.communicate()
                self.assertEqual(0, process.returncode, messages)
            document = self.repository.manifest(f"raced-{number}").expect(200).json()
            self.assertEqual(sorted(ARCHITECTURES),
                             sorted(entry["platform"]["architecture"] for entry in document["manifests"]))

    def test_doctor_finds_nothing_missing(self):
        found = self.run_tool(FNIMAGE, "doctor", *self.SCHEME, self.name)
        self.assertEqual(0, found.returncode, found.stdout + found.stderr)
        print(found.stdout, flush=True)


class Layouts(ClientsTest):
    """Each repository is an OCI layout in the server's directory."""

    def setUp(self):
        super().setUp()
        self.layout = f"oci:{self.server.directory}/{self.repository.name}"

    def test_what_is_written_into_the_directory_is_served(self):
        digest = self.pushed()
        self.assertEqual(digest, self.digest(f"{self.layout}:v1"))
        self.fnimage("copy", "-t", "direct", f"{self.name}:v1", f"{self.layout}:other")
        self.assertEqual((digest, digest), (self.served("direct"), self.served("other")))
        (self.project / "handler.py").write_text("def main(args):\n    return {'changed': True}\n")
        try:
            self.succeed(FNIMAGE, "build", "-o", f"{self.layout}:v1")
        finally:
            (self.project / "handler.py").write_text("def main(args):\n    return {}\n")
        changed = self.digest(f"{self.layout}:v1")
        self.assertNotEqual(digest, changed)
        self.assertEqual(changed, self.served("v1"))
        for child in self.repository.manifest("v1").json()["manifests"]:
            self.repository.manifest(child["digest"]).expect(200)
        self.fnimage("pull", f"{self.name}:v1")
        self.succeed(FNIMAGE, "rm", f"{self.layout}:direct")
        self.repository.manifest("direct").expect(404)
        self.assertNotIn("direct", self.repository.tags().json()["tags"])

    def test_a_layout_that_appears_is_a_repository(self):
        where = f"{self.server.directory}/made/beside:v1"
        self.succeed(FNIMAGE, "build", "-o", f"oci:{where}")
        self.assertIn("made/beside", self.client.get("/v2/_catalog").json()["repositories"])
        self.client.repository("made/beside").manifest("v1").expect(200)

    @needs("skopeo")
    def test_skopeo_writes_beside_the_server(self):
        digest = self.pushed()
        self.skopeo("copy", "-q", "--all", f"{self.layout}:v1", f"{self.layout}:theirs")
        self.assertEqual(digest, self.served("theirs"))
        self.repository.put("ours", self.repository.manifest("theirs").body, samples.INDEX).expect(201)
        self.assertLessEqual({"v1", "theirs", "ours"}, set(self.repository.tags().json()["tags"]))

    def test_without_the_server(self):
        server = self.started(name="other-store")
        repository = server.client().repository("team/app")
        image, _ = samples.pushed_image(repository, tag="v1")
        repository.client.close()
        self.assertEqual(0, server.stop())
        where = f"{server.directory}/team/app"
        self.assertEqual(image["digest"], self.digest(f"oci:{where}:v1"))
        if tool("skopeo"):
            self.skopeo("copy", "-q", f"oci:{where}:v1", f"dir:{self.home}/out")
            self.assertEqual(image["digest"], digest_of((self.home / "out/manifest.json").read_bytes()))
        if tool("umoci"):
            self.assertEqual("v1", self.succeed("umoci", "ls", "--layout", where).strip())
            self.succeed("umoci", "stat", "--image", f"{where}:v1")


class OtherTools(ClientsTest):
    @needs("skopeo")
    def test_skopeo(self):
        digest = self.pushed()
        where = f"docker://{self.name}"
        source, target = ("--src-tls-verify=false",), ("--dest-tls-verify=false",)
        self.skopeo("copy", "-q", "--all", *source, f"{where}:v1", f"oci:{self.home}/out:v1")
        self.assertEqual(digest, self.digest(f"oci:{self.home}/out:v1"))
        self.skopeo("copy", "-q", "--all", *target, f"oci:{self.home}/out:v1", f"{where}-too:v1")
        self.assertEqual(digest, self.client.repository(self.repository.name + "-too").manifest("v1").header("ETag").strip('"'))
        self.skopeo("copy", "-q", "--all", *source, *target, f"{where}:v1", f"{where}:v2")
        self.skopeo("copy", "-q", "--format", "v2s2", *source, *target, f"{where}:v1-amd64", f"{where}:docker")
        self.assertEqual(samples.DOCKER_MANIFEST, self.repository.manifest("docker").header("Content-Type"))
        shown = json.loads(self.skopeo("inspect", "--tls-verify=false", "--override-arch", "ppc64le", f"{where}:v1"))
        self.assertEqual("ppc64le", shown["Architecture"])
        listed = json.loads(self.skopeo("list-tags", "--tls-verify=false", where))
        self.assertLessEqual({"v1", "v2", "docker"}, set(listed["Tags"]))
        self.skopeo("delete", "--tls-verify=false", f"{where}:docker")
        self.repository.manifest("docker").expect(404)
        self.repository.manifest("v1").expect(200)

    @needs("podman")
    def test_podman(self):
        podman = ["podman", "--root", self.home / "podman", "--runroot", self.home / "run", "--storage-driver", "vfs"]
        if self.run_tool(*podman, "info").returncode != 0:
            self.skipTest("podman does not work here")
        self.pushed()
        self.succeed(*podman, "pull", "-q", "--tls-verify=false", f"{self.name}:v1")
        shown = json.loads(self.succeed(*podman, "image", "inspect", f"{self.name}:v1"))[0]
        self.assertEqual("amd64", shown["Architecture"])
        self.succeed(*podman, "push", "-q", "--tls-verify=false", f"{self.name}:v1", f"{self.name}:podman")
        config = self.repository.manifest("podman").expect(200).json()["config"]
        self.assertEqual(f"sha256:{shown['Id']}", config["digest"])
        self.succeed(*podman, "rmi", "-a", "-f")

    @needs("docker")
    def test_docker_manifest(self):
        """Of the docker command only this speaks with registries itself, without an engine."""
        self.fnimage("build", "-q", "--push", "--format", "docker", "-t", f"{self.name}:v1")
        docker = ["docker", "manifest"]
        made = self.run_tool(*docker, "create", "--insecure", f"{self.name}:list", f"{self.name}:v1-amd64",
                             f"{self.name}:v1-ppc64le")
        if "docker daemon" in made.stderr.lower():
            self.skipTest("this docker command wants an engine")
        self.assertEqual(0, made.returncode, made.stderr)
        self.succeed(*docker, "annotate", f"{self.name}:list", f"{self.name}:v1-ppc64le", "--variant", "power8")
        pushed = self.succeed(*docker, "push", "--insecure", f"{self.name}:list").split()[-1]
        self.assertEqual(pushed, self.served("list"))
        shown = json.loads(self.succeed(*docker, "inspect", "--insecure", f"{self.name}:list"))
        self.assertEqual(["amd64", "ppc64le"], sorted(entry["platform"]["architecture"] for entry in shown["manifests"]))

    def test_a_tool_that_is_cut_off(self):
        """Half of a push of another client is no harm: the next one is whole."""
        digest = self.pushed()
        for _ in range(3):
            running = subprocess.Popen([FNIMAGE, "copy", *self.SCHEME, f"{self.name}:v1", f"{self.name}-cut:v1"],
                                       env=environment(self.home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.05)
            running.kill()
            running.wait()
        self.fnimage("copy", f"{self.name}:v1", f"{self.name}-cut:v1")
        self.assertEqual(digest, self.digest(f"{self.name}-cut:v1"))


@needs("openssl")
class Tls(ClientsTest):
    SCHEME = ()

    @classmethod
    def started(cls, *options, name="store"):
        cls.authority = cls.scratch / "ca.pem"
        cls.make_certificates()
        return super().started("--tls-cert", cls.scratch / "server.pem", "--tls-key", cls.scratch / "server.key",
                               *options, name=name)

    @classmethod
    def make_certificates(cls):
        """An authority, and a certificate of it for 127.0.0.1."""
        def openssl(*words):
            subprocess.run(["openssl", *map(str, words)], cwd=cls.scratch, check=True, capture_output=True)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2")
        openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=test server")
        (cls.scratch / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                "2", "-extfile", "names", "-out", "server.pem")

    def setUp(self):
        super().setUp()
        self.client.tls = ssl.create_default_context(cafile=self.authority)

    def test_fnimage_and_skopeo(self):
        self.assertTrue(self.server.url.startswith("https://127.0.0.1:"))
        trusted = ("--ca-file", self.authority)
        self.succeed(FNIMAGE, "build", "--push", *trusted, "-t", f"{self.name}:v1")
        digest = self.succeed(FNIMAGE, "digest", *trusted, f"{self.name}:v1").strip().rpartition("@")[2]
        self.assertEqual(digest, self.served("v1"))
        refused = self.run_tool(FNIMAGE, "digest", f"{self.name}:v1")
        self.assertNotEqual(0, refused.returncode)
        if tool("skopeo"):
            certificates = self.home / "certs"
            certificates.mkdir()
            shutil.copy(self.authority, certificates / "ca.crt")
            self.skopeo("copy", "-q", "--all", "--src-cert-dir", certificates, f"docker://{self.name}:v1",
                        f"oci:{self.home}/out:v1")
            self.assertEqual(digest, self.digest(f"oci:{self.home}/out:v1"))

    def test_blobs_of_all_sizes(self):
        for size in (0, 1, 16_383, 16_384, 16_385, 5_000_000):
            data = samples.noise(size)
            self.assertEqual(data, self.repository.blob(self.repository.pushed(data)).expect(200).body)
        self.repository.push_in_chunks(data, digest_of(data)).expect(201)

    def test_plain_requests_are_refused(self):
        received = self.client.raw(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertNotIn(b"200 OK", received)
        self.client.get("/v2/").expect(200)

    def test_old_versions_are_refused(self):
        old = ssl.create_default_context(cafile=self.authority)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(OSError):
            with contextlib.closing(self.server.client(old)) as asking:
                asking.get("/v2/")


if __name__ == "__main__":
    registry_process.main()
