#!/usr/bin/env python3
"""Whether `fnimage serve` does what the distribution specification says: pull, push, content discovery and content
management, for sha256 and sha512, with every shape of data. FNIMAGE_REGISTRY_URL names another registry to be asked
instead; how many cases there were is printed at the end."""
import contextlib
import os

import cases
import client
import samples
from client import digest_of, next_page, thirds

RANGES = {  # of 2048 bytes: what is asked for, and first and last byte of the answer; None = 416
    "bytes=500-1499": (500, 1499),
    "bytes=500-": (500, 2047),
    "bytes=-500": (1548, 2047),
    "bytes=2000-5000": (2000, 2047),
    "bytes=500-0": None,
    "bytes=5000-10000": None,
}


def covers(entry, expected):
    """Whether an entry of a list of referrers says all that is expected, and no artifactType that is not."""
    return (all(entry.get(key) == expected.get(key) for key in ("digest", "mediaType", "size", "artifactType"))
            and (entry.get("annotations") or {}).items() >= expected.get("annotations", {}).items())


class ConformanceTest(cases.CaseTest):
    # Ping, and what is not there.

    def test_ping(self):
        with self.case("ping"):
            self.client.get("/v2/").expect(200)

    def test_nothing_there(self):
        absent, digest = self.client.repository("no/such-repository"), digest_of(samples.noise())
        with self.case("missing repository", "tag list"):
            absent.tags().expect(404)
        with self.case("missing repository", "referrers"):
            answer = absent.referrers(digest).expect(200)
            self.assertEqual([], answer.json()["manifests"])
        for method in ("GET", "HEAD", "DELETE"):
            for what in (f"manifests/{digest}", "manifests/latest", f"blobs/{digest}"):
                with self.case("missing repository", method, what.replace(digest, "DIGEST")):
                    absent.ask(method, what).expect(404)
        self.repository.pushed(samples.noise())
        for method in ("GET", "HEAD", "DELETE"):
            for what in (f"manifests/{digest}", "manifests/latest", f"blobs/{digest}"):
                with self.case("missing content", method, what.replace(digest, "DIGEST")):
                    self.repository.ask(method, what).expect(404)
        with self.case("tags of a repository without any"):
            self.assertEqual({"name": self.repository.name, "tags": []}, self.repository.tags().expect(200).json())

    def test_malformed_digest(self):
        content = samples.Content()
        content.push_to(self.repository)
        content.image()
        media_type, data = next(iter(content.manifests.values()))
        for digest, data_of in content.blobs.items():
            self.repository.push(data_of, digest).expect(201)
        for text in ("sha256:baddigeststring", "sha256:" + "A" * 64, "md5:" + "0" * 32, "sha512:" + "0" * 64):
            with self.case("malformed digest", "PUT of a manifest", text[:20]):
                self.repository.put(text, data, media_type).expect(400)
            with self.case("malformed digest", "GET of a manifest", text[:20]):
                self.repository.manifest(text).expect(400, 404)
            with self.case("malformed digest", "GET of a blob", text[:20]):
                self.repository.blob(text).expect(400, 404)
            with self.case("malformed digest", "referrers", text[:20]):
                self.repository.referrers(text).expect(400)
            with self.case("malformed digest", "end of an upload", text[:20]):
                self.repository.finish(self.repository.begun(), text, b"x").expect(400)

    # Blobs.

    def test_ways_to_push_blobs(self):
        ways = {
            "one POST": lambda data, digest: self.repository.push_at_once(data, digest),
            "POST and PUT": lambda data, digest: self.repository.push(data, digest),
            "one chunk": self.push_one_chunk,
            "chunks": lambda data, digest: self.repository.push_in_chunks(data, digest),
            "chunks, the last in PUT": lambda data, digest: self.repository.push_in_chunks(data, digest, True),
            "chunks out of order": self.push_out_of_order,
            "chunks out of order, the last in PUT": lambda data, digest: self.push_out_of_order(data, digest, True),
            "stream": lambda data, digest: self.repository.push_as_stream(data, digest),
            "mount": self.mount,
            "mount from anywhere": lambda data, digest: self.mount(data, digest, is_anonymous=True),
            "mount of what is not there": self.mount_missing,
        }
        for algorithm in cases.ALGORITHMS:
            for name, push in ways.items():
                data = samples.noise(50_000)
                self.life_of_blob((f"{algorithm} blob", name), push, data, digest_of(data, algorithm))

    def test_well_known_blobs(self):
        for algorithm in cases.ALGORITHMS:
            for name, data in (("empty", b""), ("{}", b"{}")):
                for way in ("push", "push_at_once", "push_in_chunks", "push_as_stream"):
                    if data or way != "push_in_chunks":  # no Content-Range says "nothing"
                        self.life_of_blob((f"{algorithm} blob", name, way), getattr(self.repository, way), data,
                                          digest_of(data, algorithm))

    def life_of_blob(self, names, push, data, digest):
        with self.case(*names, "push"):
            self.check_created(push(data, digest), digest, data)
        with self.case(*names, "GET and HEAD"):
            self.check_blob(self.repository, digest, data)
        with self.case(*names, "DELETE"):
            self.repository.blob(digest, "DELETE").expect(202)
            for method in ("HEAD", "GET", "DELETE"):
                self.repository.blob(digest, method).expect(404)

    def push_one_chunk(self, data, digest):
        where = self.repository.begun()
        return self.repository.finish(self.repository.patch(where, data, 0).expect(202).location(), digest)

    def push_out_of_order(self, data, digest, last_in_put=False):
        """Before each chunk comes a wrong one: the next but one, or the first again. 416 then, GET says where the
        upload is, and it goes on from there."""
        where, chunks = self.repository.begun(), thirds(data)
        for number, (first, chunk) in enumerate(chunks):
            wrong_first, wrong = chunks[(number + 1) % len(chunks)]
            is_last = last_in_put and number == len(chunks) - 1
            if last_in_put and wrong_first == chunks[-1][0]:
                self.repository.finish(where, digest, wrong, wrong_first).expect(416)
            else:
                self.repository.patch(where, wrong, wrong_first).expect(416)
            state = self.client.get(where).expect(204)
            self.assertEqual(f"0-{max(0, first - 1)}", state.header("Range"))
            where = state.location()
            if is_last:
                return self.repository.finish(where, digest, chunk, first)
            answer = self.repository.patch(where, chunk, first).expect(202)
            self.assertEqual(f"0-{first + len(chunk) - 1}", answer.header("Range"))
            where = answer.location()
        return self.repository.finish(where, digest)

    def mount(self, data, digest, is_anonymous=False):
        source = self.client.repository("somebody/else")
        source.push(data, digest).expect(201)
        answer = self.repository.begin(mount=digest, **({} if is_anonymous else {"from": source.name}))
        answer.expect(201)
        source.blob(digest, "DELETE").expect(202)  # it stays where it was mounted
        return answer

    def mount_missing(self, data, digest):
        """202: an upload has begun instead."""
        where = self.repository.begin(mount=digest, **{"from": "somebody/else"}).expect(202).location()
        return self.repository.finish(where, digest, data)

    def test_cancelled_uploads(self):
        for algorithm in cases.ALGORITHMS:
            data = samples.noise()
            with self.case(f"{algorithm} blob", "cancel"):
                where = self.repository.begun(**{"digest-algorithm": algorithm})
                where = self.repository.patch(where, data, 0).expect(202).location()
                self.client.request("DELETE", where).expect(204)
                self.client.get(where).expect(404)
                self.repository.patch(where, data, 0).expect(404)
                self.repository.finish(where, digest_of(data, algorithm)).expect(404)
                self.client.request("DELETE", where).expect(404)

    def test_digest_algorithm_is_announced(self):
        for algorithm in cases.ALGORITHMS:
            data = samples.noise()
            with self.case(f"{algorithm} blob", "digest-algorithm"):
                where = self.repository.begun(**{"digest-algorithm": algorithm})
                self.check_created(self.repository.finish(where, digest_of(data, algorithm), data),
                                   digest_of(data, algorithm), data)
        with self.case("digest-algorithm that is unknown"):
            self.repository.begin(**{"digest-algorithm": "md5"}).expect(400)

    def test_ranges(self):
        for algorithm in cases.ALGORITHMS:
            data = samples.noise(2048)
            digest = self.repository.pushed(data, algorithm)
            for field, expected in RANGES.items():
                with self.case(f"{algorithm} blob", "Range", field):
                    answer = self.repository.blob(digest, range=field)
                    if expected is None:
                        self.assertEqual("bytes */2048", answer.expect(416).header("Content-Range"))
                        continue
                    first, last = expected
                    self.assertEqual(data[first:last + 1], answer.expect(206).body)
                    self.assertEqual(f"bytes {first}-{last}/2048", answer.header("Content-Range"))
                    self.assertEqual(str(last - first + 1), answer.header("Content-Length"))

    def test_bad_digests_of_blobs(self):
        ways = {
            "one POST": lambda data, digest: self.repository.push_at_once(data, digest),
            "POST and PUT": lambda data, digest: self.repository.push(data, digest),
            "chunks": lambda data, digest: self.repository.push_in_chunks(data, digest),
            "chunks, the last in PUT": lambda data, digest: self.repository.push_in_chunks(data, digest, True),
            "stream": lambda data, digest: self.repository.push_as_stream(data, digest),
        }
        for algorithm in cases.ALGORITHMS:
            for name, push in ways.items():
                with self.case(f"{algorithm} blob", "bad digest", name):
                    data = samples.noise(5000)
                    digest, other = digest_of(data, algorithm), digest_of(data + b"oh no", algorithm)
                    self.assertEqual(["DIGEST_INVALID"], push(data + b"oh no", digest).expect(400).codes())
                    self.repository.blob(digest).expect(404)
                    self.repository.blob(other).expect(404)

    # Manifests.

    def test_shapes(self):
        for name, make in samples.SHAPES.items():
            self.life_of_content(name, make(), self.repository)

    def test_tag_parameters(self):
        for name, make in samples.TAGGING_SHAPES.items():
            self.life_of_content(name, make(), self.repository, has_tag_parameters=True)

    def test_sparse_shapes(self):
        if os.environ.get("FNIMAGE_REGISTRY_URL"):
            self.skipTest("another registry has no option --sparse")
        server = self.started("--sparse", name="sparse")
        with contextlib.closing(server.client()) as asking:
            for name, make in samples.SPARSE_SHAPES.items():
                self.life_of_content(name, make(), asking.repository("sparse"))

    def life_of_content(self, name, content, repository, has_tag_parameters=False):
        self.push_content(name, content, repository, has_tag_parameters)
        self.list_tags(name, content, repository)
        self.pull_content(name, content, repository)
        self.list_referrers(name, content, repository)
        self.delete_content(name, content, repository)

    def push_content(self, name, content, repository, has_tag_parameters):
        for digest, data in content.blobs.items():
            with self.case(name, "push blob", digest[:15]):
                repository.push(data, digest).expect(201)
        for digest, (media_type, data) in content.manifests.items():
            tags = [tag for tag, where in content.tags.items() if where == digest] if has_tag_parameters else []
            with self.case(name, "push manifest", digest[:15]):
                answer = repository.put(digest + "".join(f"{'&' if i else '?'}tag={tag}" for i, tag in enumerate(tags)),
                                        data, media_type)
                self.check_put(repository, content, answer, digest, data)
                self.assertEqual(sorted(tags), sorted(answer.all_of("OCI-Tag")))
        for tag, digest in {} if has_tag_parameters else content.tags.items():
            with self.case(name, "push tag", tag):
                media_type, data = content.manifests[digest]
                self.check_put(repository, content, repository.put(tag, data, media_type), digest, data)

    def check_put(self, repository, content, answer, digest, data):
        self.check_created(answer, digest, data, repository.client)
        subject = next((about for about, entries in content.referrers.items()
                        if digest in (entry["digest"] for entry in entries)), None)
        self.assertEqual(subject, answer.header("OCI-Subject"))

    def list_tags(self, name, content, repository):
        tags = []
        with self.case(name, "tag list"):
            listed = repository.tags().expect(200).json()
            self.assertEqual(repository.name, listed["name"])
            tags = listed["tags"]
            self.assertLessEqual(set(content.tags), set(tags))
            self.assertEqual(sorted(tags), tags)
        with self.case(name, "tag list", "last"):
            for number, last in enumerate(tags):
                self.assertEqual(tags[number + 1:], repository.tags(last=last).expect(200).json()["tags"])
        with self.case(name, "tag list", "n"):
            for count in range(len(tags) + 2):
                self.assertEqual(tags[:count], repository.tags(n=count).expect(200).json()["tags"])
        with self.case(name, "tag list", "Link"):
            self.assertEqual(tags, self.tags_by_pages(repository, 2))

    def tags_by_pages(self, repository, count):
        """All tags, by following Link."""
        tags, where = [], client.with_query(repository.path("tags/list"), n=count)
        while where:
            answer = repository.client.get(where).expect(200)
            page = answer.json()["tags"]
            self.assertLessEqual(len(page), count)
            tags += page
            where = next_page(answer)
        return tags

    def pull_content(self, name, content, repository):
        for tag, digest in content.tags.items():
            with self.case(name, "pull tag", tag):
                self.check_manifest(repository, tag, digest, *content.manifests[digest])
        for digest, (media_type, data) in content.manifests.items():
            with self.case(name, "pull manifest", digest[:15]):
                self.check_manifest(repository, digest, digest, media_type, data)
        for digest, data in content.blobs.items():
            with self.case(name, "pull blob", digest[:15]):
                self.check_blob(repository, digest, data)

    def list_referrers(self, name, content, repository):
        for subject, expected in content.referrers.items():
            with self.case(name, "referrers"):
                self.check_referrers(repository.referrers(subject), expected)
            for kind in sorted({entry.get("artifactType", "") for entry in expected}):
                with self.case(name, "referrers", "artifactType", kind):
                    answer = repository.referrers(subject, artifactType=kind)
                    self.check_referrers(answer, [entry for entry in expected if entry.get("artifactType", "") == kind])
                    self.assertIn("artifactType", answer.all_of("OCI-Filters-Applied"))
            with self.case(name, "referrers", "artifactType of none"):
                answer = repository.referrers(subject, artifactType="application/vnd.example.none")
                self.check_referrers(answer, [])

    def check_referrers(self, answer, expected):
        self.assertEqual(samples.INDEX, answer.expect(200).header("Content-Type"))
        document = answer.json()
        self.assertEqual((2, samples.INDEX), (document["schemaVersion"], document["mediaType"]))
        for entry in expected:
            self.assertTrue(any(covers(listed, entry) for listed in document["manifests"]), f"{entry} in {document}")
        self.assertEqual(len(expected), len(document["manifests"]))

    def delete_content(self, name, content, repository):
        for tag, digest in content.tags.items():
            with self.case(name, "delete tag", tag):
                repository.manifest(tag, "DELETE").expect(202)
                repository.manifest(tag, "HEAD").expect(404)
                self.assertNotIn(tag, repository.tags().expect(200).json()["tags"])
                repository.manifest(digest, "HEAD").expect(200)
        for digest in reversed(content.manifests):
            with self.case(name, "delete manifest", digest[:15]):
                repository.manifest(digest, "DELETE").expect(202)
                repository.manifest(digest, "HEAD").expect(404)
                repository.manifest(digest, "GET").expect(404)
        for subject in content.referrers:
            with self.case(name, "referrers of what is deleted"):
                self.check_referrers(repository.referrers(subject), [])
        for digest in content.blobs:
            with self.case(name, "delete blob", digest[:15]):
                repository.blob(digest, "DELETE").expect(202)
                repository.blob(digest, "HEAD").expect(404)

    def test_tags_go_with_their_manifest(self):
        content = samples.Content()
        descriptor = content.image(tag="one")
        content.tags["two"] = descriptor["digest"]
        content.push_to(self.repository)
        with self.case("deleted manifest", "its tags"):
            self.repository.manifest(descriptor["digest"], "DELETE").expect(202)
            for tag in ("one", "two"):
                self.repository.manifest(tag).expect(404)
            self.assertEqual([], self.repository.tags().expect(200).json()["tags"])

    def test_bad_digest_of_a_manifest(self):
        for algorithm in cases.ALGORITHMS:
            content = samples.Content(algorithm)
            digest = content.image()["digest"]
            for blob, data in content.blobs.items():
                self.repository.push(data, blob).expect(201)
            media_type, data = content.manifests[digest]
            with self.case(f"{algorithm} manifest", "bad digest"):
                self.repository.put(digest, data + b"  ", media_type).expect(400)
                self.repository.manifest(digest).expect(404)
                self.repository.manifest(digest_of(data + b"  ", algorithm)).expect(404)


if __name__ == "__main__":
    cases.main()
