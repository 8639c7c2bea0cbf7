"""The examples of how the server is run (systemd, Kubernetes, an image): they parse, tools that know them find nothing
wrong, and what they say of the server is true."""
import contextlib
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

import yaml

import client
import registry_process

EXAMPLES = registry_process.SOURCE / "examples" / "serve"
UNIT = EXAMPLES / "fnimage-serve.service"


class DeployTest(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.scratch = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="fnimage-serve-")))

    def started(self, arguments):
        """A server with the arguments of an example, but for its directory and addresses."""
        arguments = [re.sub(r"^--metrics-addr=.*", "--metrics-addr=127.0.0.1:0", argument) for argument in arguments
                     if not argument.startswith(("--store", "--addr"))]
        server = registry_process.Server(self.scratch / "store", *arguments, home=self.scratch)
        self.stack.callback(server.stop)
        return server

    def answers(self, url, path):
        one = client.Client(url)
        self.stack.callback(one.close)
        return one.get(path)


class Systemd(DeployTest):
    def setting(self, name):
        return re.search(f"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)[1]

    def arguments(self):
        """As --name=value, without the program."""
        words = [word for word in shlex.split(self.setting("ExecStart")) if not word.startswith("$")]
        self.assertEqual(["/usr/bin/fnimage", "serve"], words[:2])
        return [f"{name}={value}" for name, value in zip(words[2::2], words[3::2])]

    def analyzed(self, *arguments):
        """Of a copy whose program is there."""
        copy = self.scratch / UNIT.name
        copy.write_text(UNIT.read_text().replace("/usr/bin/fnimage", str(registry_process.FNIMAGE)))
        return subprocess.run(["systemd-analyze", *arguments, copy], capture_output=True, text=True)

    def test_the_server_takes_its_options(self):
        server = self.started(self.arguments())
        self.answers(server.url, "/readyz").expect(200)
        self.answers(server.metrics_url, "/metrics").expect(200)

    def test_it_fits_the_server(self):
        options = dict(argument.split("=") for argument in self.arguments())
        self.assertEqual(f"/var/lib/{self.setting('StateDirectory')}", options["--store"])
        self.assertLess(int(options["--stop-timeout"]) + 1, int(self.setting("TimeoutStopSec")))
        self.assertEqual("notify", self.setting("Type"))

    @unittest.skipUnless(shutil.which("systemd-analyze"), "apt-get install systemd")
    def test_systemd_understands_it(self):
        done = self.analyzed("verify")
        # Of other units it may say what it likes.
        self.assertEqual([], [line for line in done.stderr.splitlines() if UNIT.name in line])

    @unittest.skipUnless(shutil.which("systemd-analyze"), "apt-get install systemd")
    def test_little_is_exposed(self):
        done = self.analyzed("security", "--offline=true")
        exposure = re.search(r"Overall exposure level[^:]*: ([\d.]+)", done.stdout)
        self.assertTrue(exposure, done.stdout + done.stderr)
        self.assertLess(float(exposure[1]), 2.0)


class Kubernetes(DeployTest):
    objects = {document["kind"]: document for document in yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())}
    template = objects["Deployment"]["spec"]["template"]
    container = template["spec"]["containers"][0]

    def test_its_parts_fit_together(self):
        namespace = self.objects["Namespace"]["metadata"]["name"]
        for kind in ("PersistentVolumeClaim", "Deployment", "Service"):
            self.assertEqual(namespace, self.objects[kind]["metadata"]["namespace"])
        deployment, service = self.objects["Deployment"]["spec"], self.objects["Service"]["spec"]
        self.assertEqual(deployment["selector"]["matchLabels"], self.template["metadata"]["labels"])
        self.assertEqual(service["selector"], self.template["metadata"]["labels"])
        self.assertEqual((1, "Recreate"), (deployment["replicas"], deployment["strategy"]["type"]))
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in self.template["spec"]["volumes"]
                  if "persistentVolumeClaim" in volume]
        self.assertEqual([self.objects["PersistentVolumeClaim"]["metadata"]["name"]], claims)
        self.assertEqual({volume["name"] for volume in self.template["spec"]["volumes"]},
                         {mount["name"] for mount in self.container["volumeMounts"]})

    def test_ports(self):
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        port = self.objects["Service"]["spec"]["ports"][0]
        self.assertEqual(("NodePort", 30501), (self.objects["Service"]["spec"]["type"], port["nodePort"]))
        self.assertEqual(30501, ports[port["targetPort"]])
        self.assertIn(f"--addr=:{ports['registry']}", self.container["args"])
        self.assertIn(f"--metrics-addr=:{ports['metrics']}", self.container["args"])
        annotations = self.template["metadata"]["annotations"]
        self.assertEqual(str(ports["metrics"]), annotations["prometheus.io/port"])

    def test_the_server_answers_what_is_asked(self):
        server = self.started(self.container["args"])
        urls = {"registry": server.url, "metrics": server.metrics_url}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            get = self.container[probe]["httpGet"]
            self.answers(urls[get["port"]], get["path"]).expect(200)
        annotations = self.template["metadata"]["annotations"]
        self.answers(server.metrics_url, annotations["prometheus.io/path"]).expect(200)

    def test_it_may_end(self):
        time = next(argument for argument in self.container["args"] if argument.startswith("--stop-timeout="))
        self.assertLess(int(time.partition("=")[2]) + 1, self.template["spec"]["terminationGracePeriodSeconds"])

    def test_it_may_do_little(self):
        pod, container = self.template["spec"]["securityContext"], self.container["securityContext"]
        self.assertTrue(pod["runAsNonRoot"] and container["readOnlyRootFilesystem"])
        self.assertEqual("RuntimeDefault", pod["seccompProfile"]["type"])
        self.assertEqual((False, ["ALL"]), (container["allowPrivilegeEscalation"], container["capabilities"]["drop"]))
        self.assertIn("memory", self.container["resources"]["limits"])

    def test_its_image_is_the_one_that_is_built(self):
        build = yaml.safe_load((EXAMPLES / "fnimage.yaml").read_text())
        self.assertEqual(build["name"], self.container["image"].partition(":")[0].rpartition("/")[2])
        self.assertEqual(["/usr/bin/fnimage", "serve"], build["config"]["entrypoint"])
        self.assertEqual(build["config"]["entrypoint"][0], build["files"][0]["to"])
        self.assertEqual(build["config"]["user"],
                         "{runAsUser}:{runAsGroup}".format(**self.template["spec"]["securityContext"]))


class Image(DeployTest):
    @unittest.skipUnless(shutil.which("readelf"), "apt-get install binutils")
    def test_all_libraries_are_in_it(self):
        """What the program is linked with comes from the packages that the build file names."""
        packages = yaml.safe_load((EXAMPLES / "fnimage.yaml").read_text())["packages"]
        text = subprocess.run(["readelf", "-d", registry_process.FNIMAGE], check=True, capture_output=True, text=True).stdout
        for library in re.findall(r"\(NEEDED\).*\[(lib[^\]]+)\]", text):
            if re.match(r"lib(asan|ubsan|tsan|c|m|gcc_s|pthread|dl|rt)\.so", library):
                continue
            stem, version = re.fullmatch(r"(.*?)\.so\.([\d.]+)", library).groups()
            package = stem.replace("libcrypto", "libssl") + version  # one package has both
            self.assertIn(package, packages)


if __name__ == "__main__":
    registry_process.main()
