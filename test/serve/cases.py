"""Tests made of cases of which all are run and counted, and what any answer about content must say. FNIMAGE_REGISTRY_URL
names another registry to be asked instead; how many cases there were is printed at the end."""
import contextlib
import os
import sys
import unittest

import client
import registry_process
import samples

ALGORITHMS = ("sha256", "sha512")


class CaseTest(registry_process.ServerTest):
    cases = 0
    failed = []

    @classmethod
    def started(cls, *options, name="store"):
        url = os.environ.get("FNIMAGE_REGISTRY_URL")
        return Elsewhere(url) if url else super().started(*options, name=name)

    @contextlib.contextmanager
    def case(self, *names):
        """One case, whatever it finds the next ones are still run."""
        name = " / ".join(names)
        CaseTest.cases += 1
        with self.subTest(name):
            try:
                yield
            except Exception:
                CaseTest.failed.append(name)
                raise

    # What any answer about content must say.

    def check_blob(self, repository, digest, data):
        answer = repository.blob(digest).expect(200)
        self.assertEqual(data, answer.body)
        self.check_head(repository.blob(digest, "HEAD"), answer, digest)

    def check_manifest(self, repository, reference, digest, media_type, data):
        accept = f"{samples.INDEX}, {samples.MANIFEST}"
        answer = repository.manifest(reference, accept=accept).expect(200)
        self.assertEqual(data, answer.body)
        self.assertEqual(media_type, answer.header("Content-Type"))
        self.check_head(repository.manifest(reference, "HEAD", accept=accept), answer, digest)

    def check_head(self, head, answer, digest):
        """HEAD says of the content what GET said."""
        self.assertEqual(b"", head.expect(200).body)
        self.assertEqual(str(len(answer.body)), head.header("Content-Length"))
        for name in ("Content-Length", "Content-Type", "Docker-Content-Digest", "ETag"):
            self.assertEqual(answer.header(name), head.header(name), name)
        self.assertEqual(digest, head.header("Docker-Content-Digest"))

    def check_created(self, answer, digest, data, asking=None):
        """A 201: where the Location leads, the bytes are."""
        answer.expect(201)
        self.assertEqual(digest, answer.header("Docker-Content-Digest"))
        self.assertEqual(data, (asking or self.client).get(answer.location(), accept=f"{samples.INDEX}, {samples.MANIFEST}")
                         .expect(200).body)


class Elsewhere:
    """A registry that runs already."""

    def __init__(self, url):
        self.url = url

    def client(self):
        return client.Client(self.url)

    def is_running(self):
        return True

    def messages(self):
        return self.url


def main():
    program = unittest.main(argv=sys.argv[:1], exit=False)
    print(f"{CaseTest.cases} cases, {len(CaseTest.failed)} failed", file=sys.stderr)
    sys.exit(not program.result.wasSuccessful())

