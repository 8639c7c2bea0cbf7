"""Who may do what with `fnimage serve`, as real clients meet it: two users with a team each, something public, machines
with tokens, and files that change while the server runs."""
import base64
import contextlib
import hashlib
import http.client
import json
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import command  # noqa: E402
import registry_process  # noqa: E402

RULES = """ann team/* pull,push,delete
bob other/* pull,push
* shared pull
anonymous public/* pull
"""
ANN, BOB = ("ann", "ann-secret"), ("bob", "bob-secret")
NOTICED = 3  # seconds in which a change of a file has surely been seen
EMPTY = "sha256:" + hashlib.sha256(b"").hexdigest()


def basic(user):
    return {"Authorization": "Basic " + base64.b64encode(":".join(user).encode()).decode()}


def bearer(token):
    return {"Authorization": "Bearer " + token}


def docker_works():
    return shutil.which("docker") and subprocess.run(["docker", "--version"], capture_output=True).returncode == 0


@unittest.skipUnless(shutil.which("htpasswd"), "apt-get install apache2-utils")
class AuthTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.users = self.scratch / "users"
        self.rules = self.scratch / "rules"
        self.tokens = self.scratch / "tokens"
        self.users.touch()
        for name, password in (ANN, BOB):
            self.set_password(name, password)
        self.rules.write_text(RULES)
        self.tokens.touch()

    def set_password(self, user, password, cost=5):
        subprocess.run(["htpasswd", "-iB", "-C", str(cost), self.users, user], input=password, text=True, check=True,
                       capture_output=True)

    def serve(self, *options):
        """Starts a server; its address is self.address."""
        options = options or ("--access", self.rules)
        self.server = registry_process.Server(
            self.scratch / "registry", "--htpasswd", self.users, "--tokens", self.tokens, "--access-log", *options,
            home=self.home)
        self.addCleanup(self.server.stop)
        self.address = self.server.url.partition("://")[2]

    def request(self, method, path, headers=None, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            answer.body = answer.read()
            return answer

    def status(self, *arguments):
        return self.request(*arguments).status

    def eventually(self, status, *arguments):
        end = time.monotonic() + NOTICED
        while (last := self.status(*arguments)) != status:
            self.assertLess(time.monotonic(), end, f"still {last}, not {status}")
            time.sleep(0.1)

    def token(self, user, scope):
        answer = self.request("GET", f"/v2/token?service=x&scope={scope}", basic(user) if user else None)
        self.assertEqual(200, answer.status, answer.body)
        return json.loads(answer.body)["token"]

    def login(self, user, authfile="auth.json"):
        file = self.scratch / authfile
        self.succeed("login", "--plain-http", self.address, "--authfile", file, "--username", user[0],
                     "--password-stdin", input=user[1])
        return file

    def publish(self, name, user):
        return self.succeed("build", "--push", "--plain-http", "--creds", ":".join(user), "-t",
                            f"{self.address}/{name}:latest")

    def run_tool(self, *arguments, **options):
        return subprocess.run(arguments, capture_output=True, text=True, env=self.environment() | options.pop("env", {}),
                              **options)

    # Clients

    def test_fnimage(self):
        self.serve()
        auth = self.login(ANN)
        self.refuse(7, [self.address], "login", "--plain-http", self.address, "--authfile", self.scratch / "other.json",
                    "--username", "ann", "--password-stdin", input="guess")
        reference = f"{self.address}/team/probe:latest"
        self.succeed("build", "--push", "--plain-http", "--authfile", auth, "-t", reference)
        self.succeed("pull", "--plain-http", "--authfile", auth, reference)
        self.succeed("tags", "--plain-http", "--authfile", auth, f"{self.address}/team/probe")
        self.refuse(7, [self.address], "pull", "--plain-http", "--creds", ":".join(BOB), reference)
        self.refuse(7, [self.address], "pull", "--plain-http", "--authfile", self.scratch / "none.json", reference)
        self.refuse(7, [self.address], "build", "--push", "--plain-http", "--creds", ":".join(BOB), "-t", reference)
        self.succeed("rm", "--plain-http", "--authfile", auth, reference)

    @unittest.skipUnless(shutil.which("skopeo"), "apt-get install skopeo")
    def test_skopeo(self):
        self.serve()
        self.publish("team/probe", ANN)
        auth = self.scratch / "skopeo.json"

        def skopeo(*arguments):
            return self.run_tool("skopeo", *map(str, arguments))

        login = ("login", "--tls-verify=false", "--authfile", auth, "--username", "ann", "--password")
        self.assertNotEqual(0, skopeo(*login, "guess", self.address).returncode)
        done = skopeo(*login, ANN[1], self.address)
        self.assertEqual(0, done.returncode, done.stderr)

        def copy(source, destination, *options):
            return skopeo("copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", *options,
                          f"docker://{self.address}/{source}", f"docker://{self.address}/{destination}")

        done = copy("team/probe", "team/copy", "--authfile", auth)
        self.assertEqual(0, done.returncode, done.stderr)
        for options in (("--authfile", auth), ("--dest-creds", ":".join(BOB))):
            self.assertNotEqual(0, copy("team/probe", "other/copy", *options).returncode)
        done = copy("team/probe", "other/copy", "--src-creds", ":".join(ANN), "--dest-creds", ":".join(BOB))
        self.assertEqual(0, done.returncode, done.stderr)
        delete = ("delete", "--tls-verify=false", f"docker://{self.address}/team/copy:latest")
        self.assertNotEqual(0, skopeo(*delete, "--creds", ":".join(BOB)).returncode)
        done = skopeo(*delete, "--authfile", auth)
        self.assertEqual(0, done.returncode, done.stderr)

    @unittest.skipUnless(docker_works(), "apt-get install docker.io")
    def test_docker(self):
        self.serve()
        self.publish("team/probe", ANN)
        config = self.scratch / "docker"
        config.mkdir()

        def docker(*arguments):
            return self.run_tool("docker", "--config", config, *map(str, arguments))

        reference = f"{self.address}/team/probe:latest"
        inspect = ("manifest", "inspect", "--insecure", reference)
        self.assertNotEqual(0, docker(*inspect).returncode)
        secrets = {ANN: 0, BOB: 1, ("ann", "guess"): 1}
        for user, code in secrets.items():
            (config / "config.json").write_text(json.dumps({"auths": {self.address: {
                "auth": base64.b64encode(":".join(user).encode()).decode()}}}))
            done = docker(*inspect)
            self.assertEqual(code, done.returncode, done.stderr)
        (config / "config.json").write_text(json.dumps({"auths": {self.address: {
            "auth": base64.b64encode(":".join(ANN).encode()).decode()}}}))
        platforms = [entry["digest"] for entry in json.loads(docker(*inspect).stdout)["manifests"]]
        parts = [f"{self.address}/team/probe@{digest}" for digest in platforms]
        created = docker("manifest", "create", "--insecure", f"{self.address}/team/list:new", *parts)
        self.assertEqual(0, created.returncode, created.stderr)
        pushed = docker("manifest", "push", "--insecure", f"{self.address}/team/list:new")
        self.assertEqual(0, pushed.returncode, pushed.stderr)
        self.assertEqual(200, self.status("HEAD", "/v2/team/list/manifests/new", basic(ANN)))

    @unittest.skipUnless(shutil.which("curl"), "apt-get install curl")
    def test_curl(self):
        self.serve()
        self.publish("team/probe", ANN)

        def curl(*arguments):
            return self.run_tool("curl", "-s", "-o", self.scratch / "curl.out", "-w", "%{http_code}", *arguments).stdout

        url = f"http://{self.address}/v2/team/probe/tags/list"
        self.assertEqual("401", curl(url))
        self.assertEqual("200", curl("-u", ":".join(ANN), url))
        self.assertEqual("403", curl("-u", ":".join(BOB), url))
        self.assertEqual("401", curl("-u", "ann:guess", url))
        self.assertEqual("200", curl("-H", "Authorization: Bearer " + self.token(ANN, "repository:team/probe:pull"), url))
        form = f"grant_type=password&username=ann&password={ANN[1]}&service=x&scope=repository%3Ateam%2Fprobe%3Apull"
        self.assertEqual("200", curl("-d", form, f"http://{self.address}/v2/token"))
        token = json.loads((self.scratch / "curl.out").read_text())["access_token"]
        self.assertEqual("200", curl("-H", "Authorization: Bearer " + token, url))

    # Rights

    def test_mounts_only_what_may_be_pulled(self):
        self.serve()
        upload = "/v2/team/probe/blobs/uploads/"
        self.assertEqual(201, self.status("POST", f"{upload}?digest={EMPTY}", basic(ANN), b""))
        mount = f"/v2/other/probe/blobs/uploads/?mount={EMPTY}"
        for query in ("&from=team/probe", "&from=team/none", ""):
            self.assertEqual(202, self.status("POST", mount + query, basic(BOB)), query)
        self.assertEqual(404, self.status("HEAD", f"/v2/other/probe/blobs/{EMPTY}", basic(BOB)))
        self.rules.write_text(RULES + "bob team/probe pull\n")
        time.sleep(NOTICED / 2)
        narrow = bearer(self.token(BOB, "repository:other/probe:pull,push"))
        self.assertEqual(202, self.status("POST", mount + "&from=team/none", narrow))
        self.assertEqual(202, self.status("POST", mount, narrow))
        self.assertEqual(401, self.status("POST", mount + "&from=team/probe", narrow))  # another token is worth it
        self.assertEqual(201, self.status("POST", mount + "&from=team/probe", basic(BOB)))
        self.assertEqual(200, self.status("HEAD", f"/v2/other/probe/blobs/{EMPTY}", basic(BOB)))

    def test_uploads_are_of_one_user(self):
        self.rules.write_text("* team/* pull,push\nanonymous team/* push\n")
        self.serve()
        place = self.request("POST", "/v2/team/probe/blobs/uploads/", basic(ANN)).headers["Location"]
        for other in (basic(BOB), None):
            for method in ("GET", "PATCH", "DELETE"):
                self.assertEqual(404, self.status(method, place, other, b"x" if method == "PATCH" else None))
            self.assertEqual(404, self.status("PUT", f"{place}?digest={EMPTY}", other, b""))
        token = bearer(self.token(ANN, "repository:team/probe:pull,push"))
        self.assertEqual(204, self.status("GET", place, token))
        self.assertEqual(201, self.status("PUT", f"{place}?digest={EMPTY}", token, b""))

    def test_nothing_tells_whether_a_repository_is_there(self):
        self.serve()
        self.publish("team/probe", ANN)
        for headers in (None, basic(BOB), bearer(self.token(BOB, "repository:team/probe:pull"))):
            for path in ("tags/list", "manifests/latest", f"blobs/{EMPTY}", f"referrers/{EMPTY}"):
                there = self.request("GET", f"/v2/team/probe/{path}", headers)
                other = self.request("GET", f"/v2/team/never/{path}", headers)
                self.assertIn(there.status, (401, 403))
                self.assertEqual(there.status, other.status)
                self.assertEqual(there.body.replace(b"probe", b"never"), other.body)
        names = json.loads(self.request("GET", "/v2/_catalog", basic(BOB)).body)["repositories"]
        self.assertEqual([], names)
        names = json.loads(self.request("GET", "/v2/_catalog", basic(ANN)).body)["repositories"]
        self.assertEqual(["team/probe"], names)

    def test_anonymous_pull(self):
        self.serve("--anonymous-pull")
        self.publish("team/probe", BOB)  # without --access users may do everything
        reference = f"{self.address}/team/probe:latest"
        self.succeed("pull", "--plain-http", reference)
        (self.project / "handler.py").write_text("def main(args):\n    return {\"other\": 1}\n")
        self.refuse(7, [self.address], "build", "--push", "--plain-http", "-t", reference)
        if shutil.which("skopeo"):
            done = self.run_tool("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
            self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(401, self.status("GET", "/v2/"))

    # Changes

    def test_changes_of_the_files_are_seen(self):
        self.serve()
        self.publish("team/probe", ANN)
        tags = "/v2/team/probe/tags/list"
        token = bearer(self.token(ANN, "repository:team/probe:pull,push,delete"))
        self.assertEqual(200, self.status("GET", tags, token))
        self.rules.write_text(RULES.replace("ann team/* pull,push,delete", "ann team/* push"))
        self.eventually(403, "GET", tags, token)
        self.assertEqual(403, self.status("GET", tags, basic(ANN)))
        self.rules.write_text("broken\n")
        time.sleep(NOTICED / 2)
        self.assertEqual(403, self.status("GET", tags, token))
        self.assertIn("rules:1:", self.server.messages())
        self.rules.write_text(RULES)
        self.eventually(200, "GET", tags, token)
        self.set_password("ann", "another-secret")
        self.eventually(401, "GET", tags, basic(ANN))
        self.assertEqual(401, self.status("GET", tags, token))
        self.assertEqual(200, self.status("GET", tags, basic(("ann", "another-secret"))))
        subprocess.run(["htpasswd", "-D", self.users, "ann"], check=True, capture_output=True)
        self.eventually(401, "GET", tags, basic(("ann", "another-secret")))

    def test_a_key_outlives_the_server(self):
        key = self.scratch / "key"
        self.serve("--token-key", key)
        token = bearer(self.token(ANN, ""))
        self.server.stop()
        self.serve("--token-key", key)
        self.assertEqual(200, self.status("GET", "/v2/", token))
        self.server.stop()
        self.serve()
        self.assertEqual(401, self.status("GET", "/v2/", token))

    # Machines

    def make_token(self, *arguments):
        return self.succeed("serve", "token", *arguments, "--tokens", self.tokens)

    def test_tokens_of_machines(self):
        secret = self.make_token("ci", "--rights", "pull,push", "--repository", "team/*", "--expires", "30d").stdout.strip()
        self.assertNotIn(secret, self.tokens.read_text())
        self.assertIn(hashlib.sha256(secret.encode()).hexdigest(), self.tokens.read_text())
        self.serve()
        self.publish("team/probe", ("whoever", secret))
        tags = "/v2/team/probe/tags/list"
        self.assertEqual(200, self.status("GET", tags, bearer(secret)))
        self.assertEqual(200, self.status("GET", tags, basic(("", secret))))
        self.assertEqual(403, self.status("GET", "/v2/other/probe/tags/list", bearer(secret)))
        self.assertEqual(403, self.status("DELETE", "/v2/team/probe/manifests/latest", bearer(secret)))
        signed = bearer(self.token(("ci", secret), "repository:team/probe:pull"))
        self.assertEqual(200, self.status("GET", tags, signed))
        self.succeed("login", "--plain-http", self.address, "--authfile", self.scratch / "ci.json", "--username", "ci",
                     "--password-stdin", input=secret)
        self.succeed("pull", "--plain-http", "--authfile", self.scratch / "ci.json", f"{self.address}/team/probe:latest")
        other = json.loads(self.make_token("node", "--repository", "*", "--json").stdout)
        self.eventually(200, "GET", tags, bearer(other["token"]))
        self.tokens.write_text("".join(line for line in self.tokens.read_text().splitlines(True) if not line.startswith("ci ")))
        self.eventually(401, "GET", tags, bearer(secret))
        self.assertEqual(401, self.status("GET", tags, signed))
        self.refuse(5, ["node"], "serve", "token", "node", "--repository", "*", "--tokens", self.tokens)
        self.refuse(2, ["right"], "serve", "token", "x", "--rights", "all", "--repository", "*", "--tokens", self.tokens)
        self.refuse(2, ["--tokens"], "serve", "token", "x", "--repository", "*")

    # The rest

    def test_no_secret_in_the_log(self):
        secret = self.make_token("ci", "--repository", "*").stdout.strip()
        self.serve()
        token = self.token(ANN, "repository:team/probe:pull")
        for headers in (basic(ANN), basic(("ann", "guessed-it")), bearer(secret), bearer(token), bearer("forged.token")):
            self.request("GET", "/v2/team/probe/tags/list", headers)
        self.request("POST", "/v2/token", {"Content-Type": "application/x-www-form-urlencoded"},
                     f"grant_type=password&username=ann&password={ANN[1]}")
        self.server.stop()
        log = self.server.messages()
        self.assertIn("POST /v2/token", log)
        for text in (ANN[1], "guessed-it", secret, token, "forged", "Authorization",
                     basic(ANN)["Authorization"].split()[1]):
            self.assertNotIn(text, log)

    def test_guessing_does_not_starve_others(self):
        """While passwords are guessed at from one address, who has logged in is answered at once."""
        self.set_password("slow", "slow-secret", cost=12)
        self.serve()
        self.publish("team/probe", ANN)
        token = bearer(self.token(ANN, "repository:team/probe:pull"))
        guesses = [http.client.HTTPConnection(self.address, timeout=60) for _ in range(40)]
        for number, guess in enumerate(guesses):
            guess.request("GET", "/v2/", headers=basic(("slow", f"guess-{number}")))
        begin = time.monotonic()
        for _ in range(20):
            self.assertEqual(200, self.status("GET", "/v2/team/probe/manifests/latest", token))
            self.assertEqual(200, self.status("GET", "/v2/_catalog", bearer(self.token(ANN, "registry:catalog:*"))))
        self.assertLess(time.monotonic() - begin, 10)
        statuses = {guess.getresponse().status for guess in guesses}
        self.assertLessEqual(statuses, {401, 429})
        for guess in guesses:
            guess.close()

    def test_what_is_wrong_at_the_start(self):
        def serve(*options):
            return ("serve", "--store", self.scratch / "registry", "--addr", "127.0.0.1:0", *options)

        bad = self.scratch / "bad"
        bad.write_text("# users\nann:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=\n")
        self.refuse(3, ["bad:2:", "bcrypt", "htpasswd -B"], *serve("--htpasswd", bad), timeout=60)
        bad.write_text("ann team/* pull\nbob team/* everything\n")
        self.refuse(3, ["bad:2:", "everything"], *serve("--htpasswd", self.users, "--access", bad), timeout=60)
        self.refuse(4, ["none"], *serve("--htpasswd", self.scratch / "none"), timeout=60)
        self.refuse(2, ["--htpasswd"], *serve("--anonymous-pull"), timeout=60)
        self.refuse(2, ["registry.example"], *serve("--htpasswd", self.users, "--external-url", "registry"), timeout=60)
        bad.write_text("too short a key\n")
        self.refuse(3, ["bytes"], *serve("--htpasswd", self.users, "--token-key", bad), timeout=60)
        self.refuse(2, ["--store"], "serve", "--addr", "127.0.0.1:0")

    def test_behind_a_proxy(self):
        self.serve("--external-url", "https://registry.example/base/")
        challenge = self.request("GET", "/v2/").headers["WWW-Authenticate"]
        self.assertEqual('Bearer realm="https://registry.example/base/v2/token",service="registry.example"', challenge)


if __name__ == "__main__":
    command.main()
