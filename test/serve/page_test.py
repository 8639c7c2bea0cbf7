#!/usr/bin/env python3
"""The page at / of `fnimage serve`: its HTTP, and what a real browser makes of it."""
import gzip
import hashlib
import html.parser
import io
import json
import re
import struct
import subprocess
import tarfile
import unittest

import browser
import registry_process
import samples
from browser import ENTER, TAB
from client import digest_of, with_query
from samples import Content, INDEX, MANIFEST, PLATFORMS

X86_64, ARM64 = 62, 183
HOSTILE = {
    "org.example.script": "<script>window.attacked = 1; alert(1)</script>",
    "org.example.quotes": "\"'><img src=x onerror='window.attacked = 2'>",
    "org.example.markup": "</dd></dl><h1>attacked</h1><style>*{display:none}</style>",
    "org.example.control": "bell\x07 escape\x1b[31m null\x00 c1\x9b",
    "org.example.direction": "user\u202egnp.exe \u2066isolate\u200f",
    "org.example.link": "javascript:window.attacked=3",
    "org.example.site": "https://site.example/?a=1&b=<script>",
    "<b>name</b>\"onmouseover=\"x": "value",
}


class Document(html.parser.HTMLParser):
    """Elements in order as (tag, attributes), and all text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def links(self):
        return [attributes["href"] for tag, attributes in self.elements if tag == "a"]

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def elf(machine):
    """A static program as far as anybody looks at it: an ELF header without segments."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 0, 0, 0, 64, 56, 0, 0, 0, 0)


def tar_of(path, data):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(data), 0o755
        archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def program_list(machines, tag, **config):
    """A list whose images each start a program for one of these machines, with one layer in common."""
    content = Content()
    common = tar_of("etc/common", bytes(range(256)) * 64)

    def image(number):
        tars = [common, tar_of("usr/local/bin/solver", elf(machines[number]))]
        layers = [content.blob(gzip.compress(tar, mtime=0), samples.LAYER_GZIP) for tar in tars]
        document = PLATFORMS[number] | {
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
            "created": "2024-02-03T04:05:06Z",
            "config": {"Entrypoint": ["/usr/local/bin/solver"], "User": "1000:1000", "Env": ["OMP_NUM_THREADS=2"], **config}}
        return content.manifest(content.blob(json.dumps(document).encode(), samples.CONFIG), layers)

    content.index([image(number) for number in range(len(machines))], PLATFORMS, tag,
                  annotations={"io.fnimage.requires": '{"cpu": 4}'})
    return content


def tree_digest(directory):
    """Of all names, kinds and bytes below a directory."""
    found = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        found.update(f"{path.relative_to(directory)} {path.is_file() and path.read_bytes()!r}\n".encode())
    return found.hexdigest()


def human_size(size):
    if size < 1024:
        return f"{size} B"
    for unit in ("KiB", "MiB"):
        size /= 1024
        if size < 1024:
            break
    return f"{size:.1f} {unit}"


def sizes_of(content):
    """Bytes of each platform's image, and of the layers that both have."""
    images = [json.loads(data) for media_type, data in content.manifests.values() if media_type == MANIFEST]
    total = [len(data) + image["config"]["size"] + sum(layer["size"] for layer in image["layers"])
             for image, (media_type, data) in zip(images, content.manifests.values())]
    shared = images[0]["layers"][0]["size"]
    return total, shared


class Http(registry_process.ServerTest):
    def page(self, path, status=200, **headers):
        answer = self.client.get(path, **headers).expect(status)
        return Document(answer.body.decode()), answer

    def repository_page(self, **query):
        return with_query("/-/repo/" + self.repository.name, **query)

    def test_headers(self):
        program_list([X86_64, ARM64], "v1").push_to(self.repository)
        for path, status in (("/", 200), (self.repository_page(), 200), (self.repository_page(tag="v1"), 200), ("/-/none", 404)):
            _, answer = self.page(path, status)
            self.assertEqual("text/html; charset=utf-8", answer.header("Content-Type"))
            policy = answer.header("Content-Security-Policy")
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual("nosniff", answer.header("X-Content-Type-Options"))
            self.assertEqual("same-origin", answer.header("Referrer-Policy"))

    def test_entity_tags_and_head(self):
        program_list([X86_64, ARM64], "v1").push_to(self.repository)
        path = self.repository_page(tag="v1")
        _, whole = self.page(path)
        head = self.client.request("HEAD", path).expect(200)
        self.assertEqual((b"", whole.header("ETag"), whole.header("Content-Length")),
                         (head.body, head.header("ETag"), head.header("Content-Length")))
        self.assertEqual(b"", self.client.get(path, if_none_match=whole.header("ETag")).expect(304).body)
        samples.pushed_image(self.repository, tag="v1")
        self.page(path, 200, if_none_match=whole.header("ETag"))

    def test_what_is_not_there(self):
        samples.pushed_image(self.repository, tag="v1")
        name = self.repository.name
        for path in ("/-/", "/-/none", "/-/repo/", "/-/repo/none", "/-/repo/UPPER", "/-/repo/../../etc", "/-/repo/%2e%2e",
                     f"/-/repo/{name}/", f"/-/repo/{name}?tag=none", f"/-/repo/{name}?tag=%00", f"/-/repo/{name}?tag=",
                     f"/-/repo/{name}?digest=sha256:x", f"/-/repo/{name}?digest={digest_of(b'none')}"):
            with self.subTest(path):
                self.page(path, 404)

    def test_other_methods(self):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = self.client.request(method, "/").expect(405)
            self.assertEqual(["GET", "HEAD"], answer.all_of("Allow"))
        self.assertEqual(["POST"], self.client.get("/-/check/x").expect(405).all_of("Allow"))

    def test_looking_changes_nothing(self):
        program_list([X86_64, ARM64], "v1").push_to(self.repository)
        before = tree_digest(self.server.directory)
        digest = self.repository.manifest("v1").header("Docker-Content-Digest")
        for path in ("/", "/?q=x", "/?login=1", self.repository_page(), self.repository_page(tag="v1"),
                     self.repository_page(digest=digest), self.repository_page(tag="none")):
            self.client.get(path).expect(200, 303, 404)
        self.assertEqual(before, tree_digest(self.server.directory))

    def test_text_stays_text(self):
        content = Content()
        subject = content.image_list(tag="v1", annotations=HOSTILE)
        content.artifact("text/<script>alert(1)</script>", subject=subject, annotations=HOSTILE)
        content.push_to(self.repository)
        document, answer = self.page(self.repository_page(tag="v1"))
        self.assertEqual(1, [tag for tag, _ in document.elements].count("script"))
        self.assertEqual(1, [tag for tag, _ in document.elements].count("h1"))
        self.assertNotIn("img", [tag for tag, _ in document.elements])
        self.assertFalse([name for _, attributes in document.elements for name in attributes if name.startswith("on")])
        for text in ("<script>window.attacked = 1; alert(1)</script>", "bell\\x07 escape\\x1B[31m null\\x00 c1\\x9B",
                     "user\\u202Egnp.exe \\u2066isolate\\u200F", "text/<script>alert(1)</script>"):
            self.assertIn(text, document.text)
        self.assertFalse(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", answer.body.decode()))
        self.assertFalse([link for link in document.links() if not re.match("/|#", link)])

    def test_links_to_elsewhere(self):
        content = Content()
        content.image_list(tag="v1", annotations={"org.opencontainers.image.source": "https://site.example/x?a=1&b=2"})
        content.push_to(self.repository)
        document, _ = self.page(self.repository_page(tag="v1"))
        away = [attributes for tag, attributes in document.elements if attributes.get("href", "").startswith("https:")]
        self.assertEqual(["https://site.example/x?a=1&b=2"], [attributes["href"] for attributes in away])
        self.assertIn("noopener", away[0]["rel"])
        self.assertIn("noreferrer", away[0]["rel"])

    def test_what_is_missing_is_shown(self):
        sparse = self.started("--sparse", name="sparse")
        asking = sparse.client()
        self.addCleanup(asking.close)
        samples.sparse().push_to(asking.repository("sparse"))
        for tag in ("sparse-image", "sparse-index"):
            body = asking.get(f"/-/repo/sparse?tag={tag}").expect(200).body
            self.assertIn(b"missing here", body)

    def test_digests_lead_to_pages(self):
        content = Content()
        subject = content.image_list(tag="v1")
        content.artifact(samples.SBOM, subject=subject)
        content.push_to(self.repository)
        document, _ = self.page(self.repository_page(tag="v1"))
        digests = [link for link in document.links() if "?digest=" in link]
        self.assertEqual(set(content.manifests) - {subject["digest"]}, {link.partition("=")[2] for link in digests})
        for link in digests:
            self.page(link)
        self.assertIn(f"/v2/{self.repository.name}/manifests/{subject['digest']}", document.links())

    def test_every_shape_has_a_page(self):
        for number, (name, shape) in enumerate(samples.SHAPES.items()):
            with self.subTest(name):
                repository = self.client.repository(f"shapes/{number}")
                content = shape().push_to(repository)
                self.page(f"/-/repo/{repository.name}")
                for digest in content.manifests:
                    _, answer = self.page(f"/-/repo/{repository.name}?digest={digest}")
                    self.assertLess(len(answer.body), 500_000)
        self.page("/")

    def test_many_repositories_and_tags(self):
        """In a store that other tools have written."""
        store = self.scratch / "many"
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
        entry = {"mediaType": INDEX, "digest": digest_of(data), "size": len(data)}
        for name, count in {"large": 100_000, **{f"small/{n}": 1 for n in range(450)}}.items():
            blobs = store / name / "blobs/sha256"
            blobs.mkdir(parents=True)
            (blobs / entry["digest"].partition(":")[2]).write_bytes(data)
            (store / name / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
            (store / name / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
                entry | {"annotations": {"org.opencontainers.image.ref.name": f"v{n:06}"}} for n in range(count)]}))
        server = self.started(name="many")
        asking = server.client()
        self.addCleanup(asking.close)
        seen, path = [], "/"
        while path:
            body = asking.get(path).expect(200).body
            self.assertLess(len(body), 200_000)
            document = Document(body.decode())
            seen += [attributes["data-name"] for tag, attributes in document.elements if "data-name" in attributes]
            path = next((attributes["href"] for tag, attributes in document.elements if attributes.get("rel") == "next"), None)
        self.assertEqual(["large", *sorted(f"small/{n}" for n in range(450))], seen)
        document = Document(asking.get("/-/repo/large?page=500").expect(200).body.decode())
        self.assertIn("100,000 tags", document.text)
        self.assertIn("99,801–100,000 of 100,000", document.text)
        document = Document(asking.get("/-/repo/large?q=V09999").expect(200).body.decode())
        self.assertEqual([f"v09999{n}" for n in range(10)],
                         [attributes["data-name"] for tag, attributes in document.elements if "data-name" in attributes])
        for odd in ("page=0", "page=-1", "page=99999999999999999999", "page=x", "q=%00%ff<", "q=" + "x" * 5000):
            asking.get("/-/repo/large?" + odd).expect(200)

    def test_it_can_be_off(self):
        without = self.started("--no-page", name="without")
        asking = without.client()
        self.addCleanup(asking.close)
        for path in ("/", "/-/repo/x"):
            asking.get(path).expect(404)


class Access(registry_process.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if browser.is_there():
            cls.browser = browser.Browser(cls.scratch / "browser")
            cls.stack.callback(cls.browser.close)

    @classmethod
    def started(cls, *options, name="store"):
        server = super().started(name=name)
        asking = server.client()
        for repository in ("public", "secret"):
            samples.pushed_image(asking.repository(repository), tag="v1")
        asking.close()
        server.stop()
        users = subprocess.run([registry_process.tool("htpasswd"), "-nbB", "-C", "5", "ann", "secret-word"], check=True,
                               capture_output=True).stdout
        (cls.scratch / "users").write_bytes(users)
        (cls.scratch / "rules").write_text("ann * pull\nanonymous public pull\n")
        return super().started("--htpasswd", cls.scratch / "users", "--access", cls.scratch / "rules", name=name)

    @unittest.skipUnless(browser.is_there(), "chromium and chromium-driver are needed")
    def test_logging_in(self):
        shown = self.browser
        shown.open(self.server.url + "/")
        self.assertIn("public", shown.text)
        self.assertNotIn("secret", shown.text)
        self.assertEqual(1, len(shown.all("a.user")))
        shown.open(self.server.url.replace("//", "//ann:secret-word@") + "/?login=1")
        shown.open(self.server.url + "/")  # the browser sends by itself what it was told
        self.assertIn("secret", shown.text)
        self.assertIn("Logged in as ann", shown.text)
        shown.one("a[href='/-/repo/secret']").click()
        shown.one("a[href='/-/repo/secret?tag=v1']").click()
        self.assertEqual("secret:v1", shown.one("h1").text)

    def test_without_a_name(self):
        self.client.get("/-/repo/secret").expect(401)
        self.client.get("/-/repo/none").expect(401)
        answer = self.client.get("/?login=1").expect(401)
        self.assertIn('Basic realm="', answer.header("WWW-Authenticate"))
        self.client.get("/-/repo/public?tag=v1").expect(200)


@unittest.skipUnless(browser.is_there(), "chromium and chromium-driver are needed")
class Browsing(registry_process.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = browser.Browser(cls.scratch / "browser")
        cls.stack.callback(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.browser.size(1200, 900)
        self.browser.colors("light")
        self.browser.scripts(True)
        self.addCleanup(lambda: self.assertEqual([], self.browser.console()))

    def open(self, **query):
        self.browser.open(self.server.url + with_query("/-/repo/" + self.repository.name, **query))

    def reach(self, label):
        """Moves the focus with the keyboard until it is at what has this name."""
        for _ in range(60):
            self.browser.press(TAB)
            focused = self.browser.focused()
            if focused.label == label:
                outline = self.browser.run("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]")
                self.assertEqual("solid", outline[0], label)
                self.assertGreaterEqual(float(outline[1].removesuffix("px")), 2, label)
                return
        self.fail(f"{label} cannot be reached with Tab")

    def test_a_tree_with_the_keyboard_only(self):
        content = program_list([X86_64, ARM64], "latest").push_to(self.repository)
        total, shared = sizes_of(content)
        self.browser.open(self.server.url + "/")
        self.reach("Skip to the content")
        for label in (self.repository.name, "latest"):
            self.reach(label)
            self.browser.press(ENTER)
            registry_process.wait_until(lambda: label in self.browser.one("h1").text, f"the page of {label}")
        self.assertEqual(f"{self.repository.name}:latest", self.browser.one("h1").text)
        platforms = self.browser.all("details.branch")
        self.assertEqual(["linux/amd64", "linux/arm64"], [one.text for one in self.browser.all("summary h3")])
        self.assertEqual([f"{human_size(size)}, {human_size(shared)} shared" for size in total],
                         [one.text for one in self.browser.all("summary .size")])
        self.assertEqual([f"{human_size(size)}, of which {human_size(shared)} are shared with other platforms" for size in total],
                         [one.ask("attribute/aria-label") for one in self.browser.all("svg.bar")])
        self.assertNotIn("Entrypoint", self.browser.text)
        for _ in range(60):
            self.browser.press(TAB)
            if self.browser.run("return document.activeElement.tagName") == "SUMMARY":
                break
        self.browser.press(ENTER)
        for text in ("/usr/local/bin/solver", "1000:1000", "OMP_NUM_THREADS", "2024-02-03T04:05:06Z", "io.fnimage.requires"):
            self.assertIn(text, self.browser.text)
        self.assertEqual(2, len(platforms))

    def test_hostile_text_runs_nothing(self):
        content = Content()
        subject = content.image_list(tag="v1", annotations=HOSTILE, make=lambda platform: content.image(platform=platform, annotations=HOSTILE))
        content.artifact("text/<script>window.attacked=4</script>", subject=subject, annotations=HOSTILE)
        content.push_to(self.repository)
        for query in ({}, {"tag": "v1"}, {"digest": subject["digest"]}, {"q": "\"><script>window.attacked=5</script>"}):
            self.open(**query)
            self.assertIsNone(self.browser.run("return window.attacked ?? null"))
            self.assertEqual(1, self.browser.run("return document.scripts.length"))
            self.assertEqual([], self.browser.all("img, iframe, object"))
            self.assertEqual([], self.browser.console())
        self.open(tag="v1")
        self.assertIn("<script>window.attacked = 1; alert(1)</script>", self.browser.text)

    def test_without_scripts(self):
        program_list([X86_64, ARM64], "latest").push_to(self.repository)
        samples.pushed_image(self.repository, tag="other")
        self.browser.scripts(False)
        self.open()
        field = self.browser.one("input[type=search]")
        field.type("late" + ENTER)
        registry_process.wait_until(lambda: "q=late" in self.browser.url, "the form was sent")
        self.assertEqual(["latest"], [one.text for one in self.browser.all("tbody th")])
        self.browser.one("tbody th a").click()
        self.assertIn("linux/arm64", self.browser.text)
        self.assertNotIn("Copy", self.browser.text)  # buttons that would do nothing do not show
        self.browser.all("summary")[1].click()
        self.assertIn("OMP_NUM_THREADS", self.browser.text)

    def test_filter_and_copy(self):
        program_list([X86_64, ARM64], "latest").push_to(self.repository)
        samples.pushed_image(self.repository, tag="other")
        self.open()
        self.browser.one("input[type=search]").type("OTH")
        self.assertEqual(["other"], [one.text for one in self.browser.all("tbody tr:not([hidden]) th")])
        self.assertIn("1 on this page match", self.browser.text)
        self.open(tag="latest")
        reference = f"{self.client.address}/{self.repository.name}:latest"
        commands = [one.text for one in self.browser.all(".commands code")]
        self.assertEqual([f"fnimage pull --plain-http {reference}", f"docker pull {reference}",
                          f"podman pull --tls-verify=false {reference}",
                          f"skopeo copy --all --src-tls-verify=false docker://{reference} oci:{self.repository.name}",
                          f"crane pull --insecure {reference} {self.repository.name}.tar",
                          f"wsk action create {self.repository.name} --docker {reference}"], commands)
        self.browser.devtools("Browser.grantPermissions", origin=self.server.url,
                              permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        self.browser.all("button.copy")[1].click()
        registry_process.wait_until(lambda: "Copied" in self.browser.all("button.copy")[1].text, "copied")
        self.assertEqual(f"docker pull {reference}", self.browser.run("return navigator.clipboard.readText()"))

    def checked(self, content):
        """The page of what is checked by its button."""
        content.push_to(self.repository)
        self.open(tag="checked")
        self.browser.one("form[method=post] button").click()
        registry_process.wait_until(lambda: self.browser.all(".verdict") or "could not" in self.browser.text, "the result")
        return [one.text for one in self.browser.all(".verdict")], self.browser.one("section[aria-labelledby=check]").text

    def test_check_of_a_good_image(self):
        verdicts, text = self.checked(program_list([X86_64, ARM64], "checked"))
        self.assertEqual(["good", "good"], verdicts, text)

    def test_check_of_a_broken_image(self):
        verdicts, text = self.checked(program_list([X86_64, X86_64], "checked"))
        self.assertEqual(["good", "1 error"], verdicts, text)
        self.assertIn("/usr/local/bin/solver", text)
        self.assertIn("x86-64", text)

    def test_check_of_what_cannot_be_read(self):
        content = program_list([X86_64, ARM64], "checked")
        digest = next(iter(content.blobs))
        content.push_to(self.repository)
        path = self.server.directory / self.repository.name / "blobs/sha256" / digest.partition(":")[2]
        path.chmod(0o644)
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-8] + bytes(8))
        before = tree_digest(self.server.directory)
        self.open(tag="checked")
        self.browser.one("form[method=post] button").click()
        registry_process.wait_until(lambda: "could not be checked" in self.browser.text, "the result")
        self.assertNotIn(str(self.scratch), self.browser.text)
        self.assertEqual(before, tree_digest(self.server.directory))

    def pages(self):
        content = program_list([X86_64, X86_64], "checked")
        content.artifact(samples.SBOM, subject={"mediaType": INDEX, "digest": content.tags["checked"],
                                                "size": len(content.manifests[content.tags["checked"]][1])})
        self.checked(content)
        self.browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        yield "image"
        self.open()
        yield "tags"
        self.browser.open(self.server.url + "/")
        yield "home"
        self.browser.open(self.server.url + "/-/none")
        yield "not found"
        self.browser.console()  # says 404

    def test_contrast(self):
        for scheme in ("light", "dark"):
            self.browser.colors(scheme)
            for name in self.pages():
                with self.subTest(f"{name}, {scheme}"):
                    self.assertEqual(scheme == "dark", self.browser.run("return matchMedia('(prefers-color-scheme: dark)').matches"))
                    found = self.browser.run(CONTRASTS)
                    self.assertGreater(len(found), 5)
                    self.assertEqual([], [one for one in found if one["contrast"] < 4.5])
                    luminance = self.browser.run(CONTRASTS_OF_GROUND)
                    self.assertTrue(luminance < 0.1 if scheme == "dark" else luminance > 0.9, luminance)

    def test_narrow_screens(self):
        self.browser.size(320, 700)
        for name in self.pages():
            with self.subTest(name):
                width, shown = self.browser.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
                self.assertLessEqual(width, shown)
                wide = self.browser.run("return [...document.querySelectorAll('main *')].filter(one => one.getClientRects().length && "
                                        "one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('thead')).map(one => one.outerHTML.slice(0, 100))")
                self.assertEqual([], wide)

    def test_structure(self):
        for name in self.pages():
            with self.subTest(name):
                for landmark in ("header", "main", "footer"):
                    self.browser.one(f"body > {landmark}")
                self.assertEqual("en", self.browser.run("return document.documentElement.lang"))
                levels = self.browser.run("return [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(one => +one.tagName[1])")
                self.assertEqual((1, 1), (levels[0], levels.count(1)))
                self.assertTrue(all(b - a <= 1 for a, b in zip(levels, levels[1:])), levels)
                for control in self.browser.all("a[href], button:not([hidden]), input, svg, summary"):
                    self.assertTrue(control.label.strip(), control.ask("property/outerHTML"))
                ids = self.browser.run("return [...document.querySelectorAll('[id]')].map(one => one.id)")
                self.assertEqual(len(ids), len(set(ids)), ids)
                for table in self.browser.all("table"):
                    self.assertEqual("table", table.role)


# WCAG 2.2: relative luminance, and contrast of each text with the ground behind it.
LUMINANCE = """
const numbers = color => color.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = one => {
  for (; one; one = one.parentElement) {
    const color = numbers(getComputedStyle(one).backgroundColor);
    if (color.length < 4 || color[3] === 1) return color;
    if (color[3] !== 0) throw new Error('half transparent');
  }
  return [255, 255, 255];
};
"""
CONTRASTS_OF_GROUND = LUMINANCE + "return luminance(ground(document.body));"
CONTRASTS = LUMINANCE + """
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const one = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !one.getClientRects().length) continue;
  const a = luminance(numbers(getComputedStyle(one).color)), b = luminance(ground(one));
  found.push({text: walker.currentNode.data.trim().slice(0, 40), contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)});
}
return found;
"""


if __name__ == "__main__":
    registry_process.main()
