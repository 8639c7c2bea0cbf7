"""A small Debian mirror for tests: real .debs, indexes and signed releases, in a directory. Needs dpkg-deb, gpg
and xz."""
import datetime
import hashlib
import lzma
import pathlib
import shutil
import subprocess
import unittest

import command

SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base:
  debian: stable1
  mirror: {url}
  signed-by: key.asc
  suites: []
{more}packages: [{packages}]
runtime: none
config: {{cmd: [/usr/bin/tool]}}
"""


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


def _date(days=0):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return when.strftime("%a, %d %b %Y %H:%M:%S UTC")


def make_deb(target, name, version, architecture, fields, files, work):
    """Builds one .deb; returns its control paragraph. Scripts are files below DEBIAN."""
    root = pathlib.Path(work) / f"{name}_{architecture}_{_sha256(version.encode())[:8]}"
    control = (f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
               f"Maintainer: A <a@mirror.example>\nInstalled-Size: {fields.get('Installed-Size', 1)}\n"
               + "".join(f"{key}: {value}\n" for key, value in fields.items()
                         if key != "Installed-Size")
               + "Description: test\n")
    (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (root / "DEBIAN/control").write_text(control)
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if path.startswith("DEBIAN/"):
            file.chmod(0o755)
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, target], check=True,
                   capture_output=True)
    return control


class Keyring:
    """A signing key in a gpg home of its own."""

    def __init__(self, directory):
        self.home = pathlib.Path(directory)
        self.home.mkdir(mode=0o700)
        self._gpg("--passphrase", "", "--quick-gen-key", "archive@mirror.example", "ed25519", "sign",
                  "never")
        self.public = self.home / "key.asc"
        self._gpg("--armor", "--output", self.public, "--export")

    def _gpg(self, *arguments):
        subprocess.run(["gpg", "--homedir", self.home, "--batch", "--yes", "--pinentry-mode",
                        "loopback", *arguments], check=True, capture_output=True)

    def sign(self, text, target):
        target.unlink(missing_ok=True)
        plain = self.home / "text"
        plain.write_text(text)
        self._gpg("--output", target, "--clearsign", plain)

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False,
                       capture_output=True)


class Mirror:
    """One archive below a directory; suites and packages are added, then published."""

    def __init__(self, directory, keyring, architectures=("amd64", "ppc64el")):
        self.root = pathlib.Path(directory)
        self.root.mkdir(parents=True)
        self.keyring = keyring
        self.architectures = architectures
        self.packages = {}  # suite -> {file: (architecture, paragraph)}

    @property
    def url(self):
        return f"file://{self.root}"

    def add(self, suite, name, version="1.0", architecture=None, files=None, **fields):
        """A package; for every architecture unless one is named. Underscores in field names are hyphens."""
        fields = {key.replace("_", "-"): value for key, value in fields.items()}
        for arch in [architecture] if architecture else self.architectures:
            file = f"pool/main/{name}/{name}_{version.replace(':', '%3a')}_{arch}.deb"
            content = files(arch) if callable(files) else files or {f"usr/share/{name}/v": version}
            control = make_deb(self.root / file, name, version, arch, fields, content,
                               self.root / "work")
            data = (self.root / file).read_bytes()
            self.packages.setdefault(suite, {})[file] = (
                arch, f"{control}Filename: {file}\nSize: {len(data)}\nSHA256: {_sha256(data)}\n\n")

    def remove(self, suite, name, version):
        """A version that a newer one replaces goes from index and pool."""
        prefix = f"pool/main/{name}/{name}_{version.replace(':', '%3a')}_"
        for file in [file for file in self.packages[suite] if file.startswith(prefix)]:
            del self.packages[suite][file]
            (self.root / file).unlink()

    def publish(self, suite, date=None, valid_until=None, **fields):
        """Writes the suite's indexes and its signed release."""
        directory = self.root / "dists" / suite
        sums = ""
        for arch in self.architectures:
            text = "".join(paragraph for built_for, paragraph in self.packages[suite].values()
                           if built_for in (arch, "all")).encode()
            for path, data in ((f"main/binary-{arch}/Packages", text),
                               (f"main/binary-{arch}/Packages.xz", lzma.compress(text))):
                (directory / path).parent.mkdir(parents=True, exist_ok=True)
                (directory / path).write_bytes(data)
                sums += f" {_sha256(data)} {len(data)} {path}\n"
        self.keyring.sign(
            f"Suite: {suite}\nCodename: {suite}\nDate: {date or _date(-1)}\n"
            f"Valid-Until: {valid_until or _date(7)}\nArchitectures: {' '.join(self.architectures)}\n"
            "Components: main\n" + "".join(f"{key}: {value}\n" for key, value in fields.items())
            + f"SHA256:\n{sums}", directory / "InRelease")


@unittest.skipUnless(all(map(shutil.which, ("dpkg-deb", "gpg", "gpgv"))), "needs dpkg-deb, gpg, gpgv")
class MirrorTest(command.CommandTest):
    """A mirror without packages, and a build file of a project that takes some from it."""

    def setUp(self):
        super().setUp()
        self.keyring = Keyring(self.scratch / "gpg")
        self.addCleanup(self.keyring.close)
        self.mirror = Mirror(self.scratch / "mirror", self.keyring)
        shutil.copy(self.keyring.public, self.project / "key.asc")

    def use(self, *packages, more=""):
        self.write_spec(SPEC.format(url=self.mirror.url, packages=", ".join(packages), more=more))
