"""docker-registry behind a token server, as registries on the internet are: the server here signs tokens (JWT, ES256, its
certificate in x5c) for one user, logs what it was asked for, and lets them expire as a test wants."""
import base64
import contextlib
import http.server
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import command

USER, PASSWORD, IDENTITY = "ada", "secret", "identity-of-ada"
LEEWAY = 60  # seconds that docker-registry accepts a token after its end


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def integers_of(der):
    """The two numbers of an ECDSA signature, 32 bytes each, as JWS wants them."""
    numbers, at = b"", 2
    for _ in range(2):
        size = der[at + 1]
        numbers += der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + size
    return numbers


class TokenServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, directory):
        super().__init__(("127.0.0.1", 0), TokenHandler)
        self.realm = f"http://127.0.0.1:{self.server_port}/token"
        self.lifetime = 300
        self.scopes = []  # of each token that was given
        self.grants = []
        self.key, self.certificate = directory / "token.key", directory / "token.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=tokens", "-keyout", self.key, "-out", self.certificate],
                       check=True, capture_output=True)

    def token(self, subject, scopes):
        der = "".join(self.certificate.read_text().split("-----")[2].split())
        now = int(time.time())
        access = [{"type": kind, "name": name, "actions": actions.split(",")}
                  for kind, name, actions in (scope.split(":", 2) for scope in scopes)]
        claims = {"iss": "tokens", "sub": subject, "aud": "registry", "nbf": now - 2 * LEEWAY, "iat": now,
                  "exp": now + self.lifetime - LEEWAY, "jti": str(len(self.scopes)), "access": access}
        signed = ".".join(base64url(json.dumps(part).encode())
                          for part in ({"typ": "JWT", "alg": "ES256", "x5c": [der]}, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(),
                                   check=True, capture_output=True).stdout
        self.scopes.append(scopes)
        return f"{signed}.{base64url(integers_of(signature))}"


class TokenHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        self.answer("basic", self.headers.get("Authorization") == "Basic " +
                    base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(), query)

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        kind = form["grant_type"][0]
        known = (form.get("refresh_token") == [IDENTITY] if kind == "refresh_token"
                 else (form.get("username"), form.get("password")) == ([USER], [PASSWORD]))
        self.answer(kind, known, form)

    def answer(self, kind, known, parameters):
        self.server.grants.append(kind)
        scopes = " ".join(parameters.get("scope", [])).split()
        body = {"details": "who is that?"}
        if known:
            token = self.server.token(USER, scopes)
            body = {"token": token, "access_token": token, "expires_in": self.server.lifetime}
        data = json.dumps(body).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def registry_with_tokens():
    """Yields the address of a registry and its token server."""
    with tempfile.TemporaryDirectory(prefix="fnimage-tokens-") as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        tokens = stack.enter_context(TokenServer(directory))
        threading.Thread(target=tokens.serve_forever, daemon=True).start()
        stack.callback(tokens.shutdown)
        address = f"127.0.0.1:{command.free_port()}"
        auth = {"realm": tokens.realm, "service": "registry", "issuer": "tokens", "rootcertbundle": str(tokens.certificate)}
        config = directory / "config.json"
        config.write_text(json.dumps({"version": 0.1, "storage": {"filesystem": {"rootdirectory": name}},
                                      "http": {"addr": address}, "auth": {"token": auth}}))
        log = stack.enter_context(open(directory / "log", "wb"))
        server = stack.enter_context(subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log))
        stack.callback(server.terminate)
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/v2/").close()
            except urllib.error.HTTPError as error:
                error.close()
                break
            except urllib.error.URLError:
                if server.poll() is not None:
                    raise AssertionError((directory / "log").read_text()) from None
                time.sleep(0.02)
        yield address, tokens


@unittest.skipUnless(shutil.which("docker-registry") and shutil.which("openssl"),
                     "apt-get install docker-registry openssl")
class TokenTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        servers = registry_with_tokens()
        self.address, self.tokens = servers.__enter__()
        self.addCleanup(servers.__exit__, None, None, None)

    def publish(self, name, *options):
        return self.succeed("build", "--push", "--plain-http", *options, "-t", f"{self.address}/{name}:latest")

    def creds(self, password=PASSWORD):
        return ("--creds", f"{USER}:{password}")

    def asked_together(self):
        return [set(scopes) for scopes in self.tokens.scopes]

    def test_push_and_read_back(self):
        self.publish("team/probe", *self.creds())
        self.assertIn({"repository:team/probe:pull,push"}, self.asked_together())
        shown = self.succeed("inspect", "--plain-http", *self.creds(), f"{self.address}/team/probe:latest")
        self.assertIn("linux/ppc64le", shown.stdout)

    def test_mount_asks_for_both_repositories(self):
        self.publish("team/probe", *self.creds())
        del self.tokens.scopes[:]
        done = self.succeed("copy", "--plain-http", *self.creds(), f"{self.address}/team/probe:latest",
                            f"{self.address}/other/probe:latest")
        both = [scopes for scopes in self.asked_together() if len(scopes) > 1]
        self.assertTrue(any("repository:team/probe:pull" in scopes and "repository:other/probe:pull,push" in scopes
                            for scopes in both), (self.tokens.scopes, done.stderr))

    def test_tokens_that_expire_during_uploads(self):
        (self.project / "handler.py").write_bytes(bytes(range(256)) * 16)
        with open("/dev/urandom", "rb") as noise:
            (self.project / "model.bin").write_bytes(noise.read(3 << 20))
        self.write_spec(command.SPEC + "layers: [{name: model, from: model.bin, to: /model}]\n")
        self.tokens.lifetime = 1
        self.publish("slow", *self.creds(), "--limit-rate", "1M")
        writing = [scopes for scopes in self.asked_together() if "repository:slow:pull,push" in scopes]
        self.assertGreater(len(writing), 1, self.tokens.scopes)

    def test_wrong_password(self):
        self.refuse(7, [self.address], "build", "--push", "--plain-http", *self.creds("guess"), "-t",
                    f"{self.address}/probe:latest")
        self.refuse(7, [self.address], "login", "--plain-http", self.address, "--username", USER, "--password-stdin",
                    input="guess")
        self.assertEqual([], self.tokens.scopes)

    def test_identity_token(self):
        file = self.scratch / "auth.json"
        file.write_text(json.dumps({"auths": {self.address: {"auth": base64.b64encode(b"ada:").decode(),
                                                             "identitytoken": IDENTITY}}}))
        self.publish("probe", "--authfile", str(file))
        self.assertEqual({"refresh_token"}, set(self.tokens.grants))


if __name__ == "__main__":
    command.main()
