#!/usr/bin/env python3
"""What `fnimage serve` does beyond the conformance suite: conditional requests, one order of concurrent changes, limits,
errors by name, and manifests that mean two things."""
import concurrent.futures
import contextlib
import json
import threading
import time
import unittest

import registry_process
import samples
from client import digest_of, next_page, with_query
from samples import Content, DOCKER_MANIFEST, INDEX, MANIFEST, pushed_image

WRITERS = 12
ROUNDS = 8
MOST = 4 << 20  # bytes of a manifest


def tag_of(digest):
    return f'"{digest}"'


def small_manifest(note, **members):
    """A manifest without layers, whose only part is the blob "{}"."""
    content = Content()
    content.manifest(content.described(b"{}", samples.EMPTY), [], artifactType=samples.SBOM,
                     annotations={"org.example.note": note}, **members)
    return next(iter(content.manifests.items()))


class RulesTest(registry_process.ServerTest):
    def setUp(self):
        super().setUp()
        self.repository.pushed(b"{}")

    def put_small(self, tag, note, **headers):
        """Puts a small manifest; the answer and its digest."""
        digest, (media_type, data) = small_manifest(note)
        return self.repository.put(tag, data, media_type, **headers), digest

    def stands_for(self, tag):
        answer = self.repository.manifest(tag, "HEAD").expect(200, 404)
        return answer.header("Docker-Content-Digest") if answer.status == 200 else None

    # S1: the bytes that were sent are the bytes that are kept.

    def test_manifests_keep_their_bytes(self):
        digest, (_, data) = small_manifest("x")
        document = json.loads(data)
        written = {
            "indented": json.dumps(document, indent=4).encode(),
            "newline": data + b"\n",
            "spaces": b" \t\r\n" + json.dumps(document, separators=(" ,\r\n", "\t: ")).encode() + b" \n",
            "other order": json.dumps(dict(reversed(document.items()))).encode(),
            "escapes": data.replace(b'"x"', b'"\\u0078\\/"'),
            "unicode": json.dumps(document | {"annotations": {"org.example": "\u00e9\u4e2d\U0001f600"}},
                                  ensure_ascii=False).encode(),
        }
        for name, odd in written.items():
            with self.subTest(name):
                self.repository.put("odd", odd, MANIFEST).expect(201)
                for reference in ("odd", digest_of(odd), digest_of(odd, "sha512")):
                    if reference.startswith("sha512"):
                        self.repository.put(reference, odd, MANIFEST).expect(201)
                    self.assertEqual(odd, self.repository.manifest(reference).expect(200).body)

    def test_parameters_of_the_content_type_are_ignored(self):
        _, (_, data) = small_manifest("parameters")
        self.repository.put("plain", data, MANIFEST + "; charset=utf-8").expect(201)
        self.assertEqual(MANIFEST, self.repository.manifest("plain").header("Content-Type"))

    # S2, S3, S12.

    def test_codes_locations_and_digests(self):
        data = samples.noise()
        digest = digest_of(data)
        begun = self.repository.begin().expect(202)
        patched = self.repository.patch(begun.location(), data, 0).expect(202)
        state = self.client.get(patched.location()).expect(204)
        finished = self.repository.finish(state.location(), digest).expect(201)
        put, manifest = self.put_small("latest", "locations")
        for answer in (begun, patched, state, finished, put.expect(201)):
            self.assertTrue(answer.header("Location"), answer)
            self.assertEqual(b"", answer.body)
        for answer in (patched, state):
            self.assertEqual(f"0-{len(data) - 1}", answer.header("Range"))
        shown = [self.repository.blob(digest), self.repository.blob(digest, "HEAD"),
                 self.repository.blob(digest, range="bytes=0-1"), self.repository.manifest("latest"),
                 self.repository.manifest(manifest), self.repository.manifest(manifest, "HEAD")]
        for answer in shown:
            self.assertIn(answer.header("Docker-Content-Digest"), (digest, manifest), answer)
            self.assertLessEqual(sum(map(len, answer.headers.get_all("Warning", []))), 4096)

    # S4: chunks that are out of order, also the last.

    def test_last_chunk_out_of_order(self):
        data = samples.noise(3000)
        where = self.repository.patch(self.repository.begun(), data[:1000], 0).expect(202).location()
        for first in (0, 999, 1001, 2000, 1 << 62):
            with self.subTest(first=first):
                answer = self.repository.finish(where, digest_of(data), data[2000:], first).expect(416)
                self.assertEqual("0-999", answer.header("Range"))
                self.assertTrue(answer.location())
        self.repository.finish(where, digest_of(data), data[1000:], 1000).expect(201)
        self.assertEqual(data, self.repository.blob(digest_of(data)).body)

    def test_malformed_ranges_of_chunks(self):
        where = self.repository.begun()
        for field in ("bytes 0-9/10", "0-", "-9", "a-b", "9-0", "0-9, 10-19", "0-99999999999999999999", "0-3"):
            with self.subTest(field):
                answer = self.client.request("PATCH", where, b"0123456789", {"Content-Range": field})
                self.assertIn(answer.status, (400, 416), answer)
                self.assertTrue(answer.codes())
        self.repository.finish(where, digest_of(b"whole"), b"whole").expect(201)

    # S5: lists of tags and of repositories.

    def test_pages_of_tags(self):
        tags = sorted(["A", "Z", "_x", "a", "a-1", "a.b", "b", "v1", "v10", "v2", "z"])
        digest, (media_type, data) = small_manifest("tags")
        self.repository.put(f"{digest}?" + "&".join(f"tag={tag}" for tag in tags), data, media_type).expect(201)
        self.assertEqual(tags, self.repository.tags().json()["tags"])
        for count in (1, 2, 5, len(tags) - 1, len(tags), 100):
            seen, where = [], with_query(self.repository.path("tags/list"), n=count)
            while where:
                answer = self.client.get(where).expect(200)
                self.assertLessEqual(len(answer.json()["tags"]), count)
                seen, where = seen + answer.json()["tags"], next_page(answer)
            self.assertEqual(tags, seen)
        none = self.repository.tags(n=0).expect(200)
        self.assertEqual([], none.json()["tags"])
        self.assertIsNone(none.header("Link"))
        self.assertIsNone(self.repository.tags(n=len(tags)).header("Link"))
        self.assertEqual(["v1", "v10", "v2", "z"], self.repository.tags(last="c").json()["tags"])
        self.assertEqual([], self.repository.tags(last="zz").json()["tags"])
        self.assertEqual(tags, self.repository.tags(n=10 ** 30).expect(200).json()["tags"])
        for wrong in ("-1", "x", "", "1.5", "0x10", " 1"):
            self.repository.tags(n=wrong).expect(400)

    def test_pages_of_the_catalog(self):
        names = [f"catalog/{letter}" for letter in "abcde"] + ["catalog", "catalog-2"]
        for name in names:
            pushed_image(self.client.repository(name), tag="v1")
        listed = self.client.get("/v2/_catalog").expect(200).json()["repositories"]
        self.assertEqual(sorted(listed), listed)
        self.assertLessEqual(set(names), set(listed))
        seen, where = [], "/v2/_catalog?n=2"
        while where:
            answer = self.client.get(where).expect(200)
            self.assertLessEqual(len(answer.json()["repositories"]), 2)
            seen, where = seen + answer.json()["repositories"], next_page(answer)
        self.assertEqual(listed, seen)
        empty = self.client.get("/v2/_catalog?n=0").expect(200)
        self.assertEqual(([], None), (empty.json()["repositories"], empty.header("Link")))

    # S6: referrers.

    def test_referrers_are_never_missing(self):
        subject = digest_of(samples.noise())
        for repository in (self.repository, self.client.repository("never/made")):
            answer = repository.referrers(subject).expect(200)
            self.assertEqual((INDEX, []), (answer.header("Content-Type"), answer.json()["manifests"]))
            self.assertIsNone(answer.header("OCI-Filters-Applied"))
            filtered = repository.referrers(subject, artifactType=samples.SBOM).expect(200)
            self.assertEqual("artifactType", filtered.header("OCI-Filters-Applied"))
        self.client.get("/v2/_catalog")
        self.assertNotIn("never/made", self.client.get("/v2/_catalog").json()["repositories"])

    def test_pages_of_referrers(self):
        """A list of referrers that is longer than clients read manifests has a Link."""
        subject = {"mediaType": MANIFEST, "digest": digest_of(samples.noise()), "size": 99}
        expected = set()
        for number in range(4):
            digest, (media_type, data) = small_manifest("x" * 1_000_000 + str(number), subject=subject)
            self.repository.put(digest, data, media_type).expect(201)
            expected.add(digest)
        for parameters in ({}, {"artifactType": samples.SBOM}):
            seen, where = [], with_query(self.repository.path(f"referrers/{subject['digest']}"), **parameters)
            while where:
                answer = self.client.get(where).expect(200)
                self.assertLessEqual(len(answer.body), MOST)
                seen, where = seen + [entry["digest"] for entry in answer.json()["manifests"]], next_page(answer)
            self.assertEqual(sorted(expected), sorted(seen))

    # S8: sizes of manifests.

    def padded(self, size):
        _, (_, data) = small_manifest("padded")
        return data + b" " * (size - len(data))

    def test_manifests_that_are_too_large(self):
        self.repository.put("just", self.padded(MOST), MANIFEST).expect(201)
        self.assertEqual(self.padded(MOST), self.repository.manifest("just").body)
        for name, body in (("by its length", self.padded(MOST + 1)), ("far too large", self.padded(3 * MOST)),
                           ("in chunks", iter([self.padded(MOST), b" "]))):
            with self.subTest(name):
                answer = self.repository.put("over", body, MANIFEST).expect(413)
                self.assertTrue(answer.codes())
                self.repository.manifest("over").expect(404)

    # S9: manifests whose parts are not there.

    def refused(self, document, code="MANIFEST_BLOB_UNKNOWN"):
        data = json.dumps(document).encode()
        answer = self.repository.put("refused", data, document["mediaType"]).expect(400)
        self.assertIn(code, answer.codes())
        self.repository.manifest("refused").expect(404)
        self.repository.manifest(digest_of(data)).expect(404)

    def test_parts_that_are_missing(self):
        image, data = pushed_image(self.repository)
        document = json.loads(data)
        absent = document["config"] | {"digest": digest_of(samples.noise())}
        listed = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image]}
        with self.subTest("layer"):
            self.refused(document | {"layers": [*document["layers"], absent]})
        with self.subTest("config"):
            self.refused(document | {"config": absent})
        with self.subTest("child"):
            self.refused(listed | {"manifests": [image, image | {"digest": absent["digest"]}]})
        with self.subTest("child that is a blob only"):
            as_blob = samples.noise()
            self.repository.pushed(as_blob)
            self.refused(listed | {"manifests": [image | {"digest": digest_of(as_blob), "size": len(as_blob)}]})
        with self.subTest("part of another repository"):
            elsewhere = self.client.repository("parts/elsewhere").pushed(b"far away")
            self.refused(document | {"layers": [absent | {"digest": elsewhere, "size": len(b"far away")}]})
        with self.subTest("data of a blob that is missing"):
            self.refused(document | {"layers": [Content(with_data=True).blob(samples.noise())]})

    def test_parts_of_another_size(self):
        image, data = pushed_image(self.repository)
        document = json.loads(data)
        longer = document["config"] | {"size": document["config"]["size"] + 1}
        for name, wrong in (
                ("config", document | {"config": longer}),
                ("layer", document | {"layers": [document["layers"][0] | {"size": 1}]}),
                ("child", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image | {"size": 1}]})):
            with self.subTest(name):
                self.refused(wrong, "SIZE_INVALID")

    def test_missing_subject_is_taken(self):
        subject = {"mediaType": MANIFEST, "digest": digest_of(samples.noise()), "size": 99}
        digest, (media_type, data) = small_manifest("early", subject=subject)
        answer = self.repository.put(digest, data, media_type).expect(201)
        self.assertEqual(subject["digest"], answer.header("OCI-Subject"))
        self.assertEqual([digest], [entry["digest"] for entry in
                                    self.repository.referrers(subject["digest"]).json()["manifests"]])

    # S10: sha512.

    def test_sha512_stays_sha512(self):
        content = Content("sha512")
        top = content.image_list()["digest"]
        content.push_to(self.repository)
        media_type, data = content.manifests[top]
        self.repository.put(f"{top}?tag=strong", data, media_type).expect(201)
        for reference in ("strong", top):
            answer = self.repository.manifest(reference).expect(200)
            self.assertEqual((top, tag_of(top), data), (answer.header("Docker-Content-Digest"), answer.header("ETag"),
                                                        answer.body))
        for digest in content.blobs:
            self.assertEqual(digest, self.repository.blob(digest, "HEAD").expect(200).header("Docker-Content-Digest"))
        self.repository.manifest(digest_of(data)).expect(404)  # nobody put it by this name

    # S11: there is no smallest chunk, and none is announced.

    def test_chunks_of_one_byte(self):
        begun = self.repository.begin().expect(202)
        self.assertIsNone(begun.header("OCI-Chunk-Min-Length"))
        where = begun.location()
        for first, byte in enumerate(b"tiny"):
            where = self.repository.patch(where, bytes([byte]), first).expect(202).location()
        self.repository.finish(where, digest_of(b"tiny")).expect(201)

    # S13: conditions.

    def test_not_modified(self):
        answer, digest = self.put_small("latest", "not modified")
        self.assertEqual(tag_of(digest), answer.expect(201).header("ETag"))
        blob = self.repository.pushed(samples.noise())
        other = tag_of(digest_of(b"other"))
        for ask, current in ((lambda *words, **more: self.repository.manifest("latest", *words, **more), digest),
                             (lambda *words, **more: self.repository.manifest(digest, *words, **more), digest),
                             (lambda *words, **more: self.repository.blob(blob, *words, **more), blob)):
            for method in ("GET", "HEAD"):
                self.assertEqual(tag_of(current), ask(method).header("ETag"))
                for field in (tag_of(current), f"{other}, {tag_of(current)}", f"W/{tag_of(current)}", "*"):
                    unchanged = ask(method, if_none_match=field).expect(304)
                    self.assertEqual((b"", tag_of(current)), (unchanged.body, unchanged.header("ETag")))
                for field in (other, f'{other}, "x"', '""'):
                    ask(method, if_none_match=field).expect(200)

    def test_put_only_if_new(self):
        first, digest = self.put_small("once", "first", if_none_match="*")
        first.expect(201)
        again, later = self.put_small("once", "second", if_none_match="*")
        again.expect(412)
        self.assertEqual(digest, self.stands_for("once"))
        self.assertIsNone(self.stands_for(later))
        self.put_small("once", "second", if_none_match=tag_of(digest))[0].expect(412)
        self.put_small("once", "second", if_none_match=tag_of(later))[0].expect(201)

    def test_put_only_if_unchanged(self):
        self.put_small("cas", "first", if_match="*")[0].expect(412)
        self.assertIsNone(self.stands_for("cas"))
        first = self.put_small("cas", "first")[1]
        second = self.put_small("cas", "second", if_match=tag_of(first))[1]
        self.assertEqual(second, self.stands_for("cas"))
        for field in (tag_of(first), '"x"', f"{tag_of(first)}, {tag_of(digest_of(b'other'))}"):
            with self.subTest(field):
                stale, third = self.put_small("cas", "third", if_match=field)
                self.assertTrue(stale.expect(412).codes())
                self.assertEqual(second, self.stands_for("cas"))
                self.assertIsNone(self.stands_for(third))
        third = self.put_small("cas", "third", if_match=f"{tag_of(first)}, {tag_of(second)}")[1]
        self.assertEqual(third, self.stands_for("cas"))
        self.put_small("cas", "fourth", if_match="*")[0].expect(201)

    def test_weak_tags_never_match_a_put(self):
        """If-Match compares strongly (RFC 9110 13.1.1)."""
        digest = self.put_small("weak", "first")[1]
        self.put_small("weak", "second", if_match="W/" + tag_of(digest))[0].expect(412)
        self.assertEqual(digest, self.stands_for("weak"))

    def test_conditions_of_a_put_by_digest(self):
        digest, (media_type, data) = small_manifest("by digest")
        self.repository.put(digest, data, media_type, if_match="*").expect(412)
        self.repository.put(digest, data, media_type, if_none_match="*").expect(201)
        self.repository.put(digest, data, media_type, if_none_match="*").expect(412)
        # With tags it is about the first of them.
        self.repository.put(f"{digest}?tag=named&tag=second", data, media_type, if_none_match="*").expect(201)
        self.repository.put(f"{digest}?tag=named&tag=third", data, media_type, if_none_match="*").expect(412)
        self.assertIsNone(self.stands_for("third"))

    def test_delete_only_if_unchanged(self):
        first = self.put_small("gone", "first")[1]
        second = self.put_small("gone", "second")[1]
        for headers in ({"if_match": tag_of(first)}, {"if_none_match": tag_of(second)}, {"if_none_match": "*"}):
            with self.subTest(**headers):
                self.repository.manifest("gone", "DELETE", **headers).expect(412)
                self.assertEqual(second, self.stands_for("gone"))
        self.repository.manifest("gone", "DELETE", if_match=tag_of(second)).expect(202)
        self.assertIsNone(self.stands_for("gone"))
        self.repository.manifest(first, "DELETE", if_match=tag_of(second)).expect(412)
        self.assertEqual(first, self.stands_for(first))
        self.repository.manifest(first, "DELETE", if_match=tag_of(first)).expect(202)

    # S14: changes of one tag happen in one order.

    def in_threads(self, work):
        """Runs work(number, client) in WRITERS threads that start together; what they return."""
        barrier = threading.Barrier(WRITERS)

        def run(number):
            with contextlib.closing(self.server.client()) as asking:
                barrier.wait()
                return work(number, asking.repository(self.repository.name))

        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(run, range(WRITERS)))

    def test_concurrent_puts_are_linearizable(self):
        history = []  # (start, end, is_write, digest)

        def work(number, repository):
            for step in range(ROUNDS):
                is_write = (number + step) % 3 != 0
                digest, (media_type, data) = small_manifest(f"{number}.{step}")
                start = time.monotonic()
                if is_write:
                    repository.put("raced", data, media_type).expect(201)
                else:
                    digest = repository.manifest("raced").expect(200).header("Docker-Content-Digest")
                history.append((start, time.monotonic(), is_write, digest))

        start = time.monotonic()
        self.put_small("raced", "initial")[0].expect(201)
        history.append((start, time.monotonic(), True, small_manifest("initial")[0]))
        self.in_threads(work)
        self.assertEqual([], contradictions(history))

    def test_the_checker_finds_what_is_wrong(self):
        self.assertTrue(contradictions([(0, 1, True, "a"), (2, 3, True, "b"), (4, 5, False, "a")]))
        self.assertTrue(contradictions([(0, 1, True, "a"), (2, 9, True, "b"), (3, 4, False, "b"), (5, 6, False, "a")]))
        self.assertTrue(contradictions([(0, 1, False, "a"), (2, 3, True, "a")]))
        self.assertFalse(contradictions([(0, 1, True, "a"), (2, 9, True, "b"), (3, 4, False, "a"), (5, 6, False, "b")]))

    def test_concurrent_changes_lose_nothing(self):
        """Each appends to one list, with If-Match, until it has succeeded."""
        first = self.put_small("chain", "start")[1]

        def work(number, repository):
            steps = []
            while len(steps) < ROUNDS // 2:
                current = repository.manifest("chain").expect(200).header("Docker-Content-Digest")
                digest, (media_type, data) = small_manifest(f"chain {number} {len(steps)} {current}")
                answer = repository.put("chain", data, media_type, if_match=tag_of(current)).expect(201, 412)
                if answer.status == 201:
                    steps.append((current, digest))
            return steps

        steps = [step for made in self.in_threads(work) for step in made]
        after = dict(steps)
        self.assertEqual(len(steps), len(after), "two changes of the same state succeeded")
        current = first
        for _ in steps:
            current = after[current]
        self.assertEqual(current, self.stands_for("chain"))

    def test_one_of_many_creates(self):
        for step in range(4):
            answers = self.in_threads(lambda number, repository, step=step: repository.put(
                f"created-{step}", small_manifest(f"{step}.{number}")[1][1], MANIFEST, if_none_match="*").status)
            self.assertEqual([201] + [412] * (WRITERS - 1), sorted(answers))

    # S15.

    def test_anonymous_mount(self):
        digest = self.client.repository("mounted/from").pushed(samples.noise())
        self.repository.begin(mount=digest).expect(201)
        self.repository.blob(digest).expect(200)
        self.repository.begin(mount=digest_of(samples.noise())).expect(202)
        self.repository.begin(mount="sha256:x").expect(400, 202)

    def test_mount_of_what_is_there(self):
        digest = self.repository.pushed(samples.noise())
        self.repository.begin(mount=digest, **{"from": self.repository.name}).expect(201)
        self.repository.blob(digest).expect(200)

    # What HTTP says of parts (RFC 9110 13.1.5, 14.2).

    def test_parts_of_blobs(self):
        data = samples.noise(1000)
        digest = self.repository.pushed(data)
        for field, first, last in (("bytes=0-0", 0, 0), ("bytes=0-", 0, 999), ("bytes=999-", 999, 999),
                                   ("bytes=-1", 999, 999), ("bytes=-5000", 0, 999), ("bytes=0-99999999999999", 0, 999)):
            answer = self.repository.blob(digest, range=field).expect(206)
            self.assertEqual((data[first:last + 1], f"bytes {first}-{last}/1000"),
                             (answer.body, answer.header("Content-Range")), field)
        for field in ("bytes=1000-", "bytes=-0", "bytes=18446744073709551615-"):
            self.assertEqual("bytes */1000", self.repository.blob(digest, range=field).expect(416).header("Content-Range"))
        for field in ("lines=0-1", "bytes=a-b", "bytes", "bytes=", "bytes=-", "0-1", "bytes=99999999999999999999-"):
            self.assertIn(self.repository.blob(digest, range=field).status, (200, 416), field)
        several = self.repository.blob(digest, range="bytes=0-1,3-4").expect(200, 206)
        self.assertTrue(several.status == 206 or several.body == data)
        self.repository.blob(digest, range="bytes=0-1", if_range=tag_of(digest)).expect(206)
        self.assertEqual(data, self.repository.blob(digest, range="bytes=0-1", if_range='"x"').expect(200).body)
        self.assertEqual(b"", self.repository.blob(self.repository.pushed(b"")).expect(200).body)
        self.repository.blob(digest_of(b""), range="bytes=0-").expect(416)

    def test_end_of_an_upload_without_a_digest(self):
        where = self.repository.begun()
        self.client.request("PUT", where, b"x").expect(400)
        self.repository.finish(where, digest_of(b"x"), b"x").expect(201)

    # Two requests about one upload.

    def test_an_upload_takes_one_body_at_a_time(self):
        where, chunk = self.repository.begun(), samples.noise(1000)
        with contextlib.closing(self.server.client()) as other:
            slow = other.connect()
            slow.putrequest("PATCH", where)
            slow.putheader("Content-Length", "2000")
            slow.endheaders(chunk)
            registry_process.wait_until(lambda: self.client.get(where).header("Range") == "0-999", "the first half")
            answer = self.repository.patch(where, chunk, 1000)
            self.assertIn(answer.status, (409, 416), answer)
            slow.send(chunk)
            self.assertEqual(202, slow.getresponse().status)
            slow.close()
        self.repository.finish(where, digest_of(chunk + chunk)).expect(201)

    def test_a_refused_push_leaves_no_upload(self):
        """Nobody knows where an upload of one POST could go on: its bytes must not stay."""
        uploads = self.server.directory / ".fnimage.uploads"
        before = len(list(uploads.glob("*")))
        self.repository.push_at_once(samples.noise(5000), digest_of(b"other")).expect(400)
        registry_process.wait_until(lambda: len(list(uploads.glob("*"))) == before, "the refused upload is gone")


def contradictions(history):
    """What shows that reads and writes of different values are not of one order (Gibbons and Korach 1997): for each
    value, the time from the first end to the last start of its operations is its own if the latter is later."""
    own, others, wrong = [], [], []
    for value in {entry[3] for entry in history}:
        about = [entry for entry in history if entry[3] == value]
        written = next((entry for entry in about if entry[2]), None)
        if written is None or any(entry[1] < written[0] for entry in about):
            wrong.append(f"{value} was read before it was written")
            continue
        first_end, last_start = min(entry[1] for entry in about), max(entry[0] for entry in about)
        (own if first_end < last_start else others).append((min(first_end, last_start), max(first_end, last_start), value))
    own.sort()
    wrong += [f"{a[2]} and {b[2]} were both there" for a, b in zip(own, own[1:]) if b[0] < a[1]]
    wrong += [f"{b[2]} came and went within {a[2]}" for a in own for b in others if a[0] < b[0] and b[1] < a[1]]
    return wrong


class AccessLog(registry_process.ServerTest):
    OPTIONS = ("--access-log",)

    def test_one_line_for_each_request(self):
        self.repository.pushed(b"x")
        before = len(self.server.messages().splitlines())
        for agent in ('good "or not"', "red\x1b[31m", "high \xff", "tab\t"):
            self.repository.ask("GET", "tags/list", user_agent=agent).expect(200, 400)
        self.client.raw(b"GET /v2/\"x\" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.client.get("/v2/").expect(200)
        registry_process.wait_until(lambda: '"GET /v2/"' in self.server.messages(), "the last request is in the log")
        lines = self.server.messages().splitlines()[before:]
        self.assertLessEqual(len(lines), 6)
        for line in lines:
            self.assertTrue(line.startswith("127.0.0.1:") and line.isprintable(), repr(line))


class AmbiguousManifests(registry_process.ServerTest):
    """Documents that one program could read as a list and another as an image (CVE-2021-41190)."""

    def setUp(self):
        super().setUp()
        self.image, data = pushed_image(self.repository)
        self.document = json.loads(data)

    def refused(self, data, media_type, *statuses):
        answer = self.repository.put("ambiguous", data, media_type).expect(*(statuses or (400,)))
        self.assertIn("MANIFEST_INVALID", answer.codes())
        self.repository.manifest("ambiguous").expect(404)
        self.repository.manifest(digest_of(data)).expect(404)

    def without_type(self, **members):
        return json.dumps({key: value for key, value in (self.document | members).items()
                           if key != "mediaType"}).encode()

    def test_list_and_image_at_once(self):
        both = self.document | {"manifests": [self.image]}
        for media_type in (MANIFEST, INDEX, DOCKER_MANIFEST, samples.DOCKER_LIST, "application/json"):
            with self.subTest(media_type):
                self.refused(self.without_type(manifests=[self.image]), media_type)
                self.refused(json.dumps(both | {"mediaType": media_type}).encode(), media_type, 400, 415)

    def test_same_bytes_as_another_type(self):
        data = self.without_type()
        self.repository.put("image", data, MANIFEST).expect(201)
        for media_type in (INDEX, samples.DOCKER_LIST):
            with self.subTest(media_type):
                self.repository.put("other", data, media_type).expect(400)
        # A Docker image has the same fields: it is refused, or what is known of the bytes stays.
        answer = self.repository.put("docker", data, DOCKER_MANIFEST)
        types = {self.repository.manifest(reference).header("Content-Type")
                 for reference in ("image", digest_of(data), *(["docker"] if answer.status == 201 else []))}
        self.assertEqual({MANIFEST}, types, answer)

    def test_type_that_contradicts(self):
        data = json.dumps(self.document).encode()
        for media_type in (INDEX, DOCKER_MANIFEST, "application/vnd.example+json"):
            with self.subTest(media_type):
                self.refused(data, media_type)

    def test_keys_that_come_twice(self):
        data = json.dumps(self.document).encode()
        config = json.dumps(self.document["config"]).encode()
        for name, twice in {
                "mediaType": data[:-1] + b',"mediaType":"' + INDEX.encode() + b'"}',
                "layers": data[:-1] + b',"layers":[]}',
                "escaped": data[:-1] + b',"l\\u0061yers":[]}',
                "of the config": data.replace(config, config[:-1] + b',"digest":"' + b"x" * 71 + b'"}'),
        }.items():
            with self.subTest(name):
                self.assertNotEqual(data, twice)
                self.refused(twice, MANIFEST)

    def test_no_manifests(self):
        deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
        for name, data in {"empty": b"", "no JSON": b"{", "array": b"[]", "number": b"1", "null": b"null",
                           "only braces": b"{}", "two": b"{}{}", "deep": deep, "UTF-16": "{}".encode("utf-16"),
                           "not UTF-8": json.dumps(self.document).encode().replace(b"file", b"fil\xff") + b"\xff",
                           "schema 1": b'{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[],"history":[]}',
                           "negative size": self.without_type(config=self.document["config"] | {"size": -1}),
                           "fraction": self.without_type(config=self.document["config"] | {"size": 1.5}),
                           "no digest": self.without_type(config={"mediaType": samples.CONFIG, "size": 2}),
                           "layers of another kind": self.without_type(layers={}),
                           "malformed digest": self.without_type(
                               config=self.document["config"] | {"digest": "sha256:../../x"})}.items():
            with self.subTest(name):
                self.refused(data, MANIFEST, 400, 415)

    def test_types_that_are_not_kept(self):
        for media_type in ("text/html", "application/vnd.example+json",
                           "application/vnd.docker.distribution.manifest.v1+prettyjws"):
            with self.subTest(media_type):
                self.refused(self.without_type(), media_type, 400, 415)


class Restricted(registry_process.ServerTest):
    """Servers that do not delete, or do not change anything; all have the same store, one after the other."""

    @classmethod
    def started(cls, *options, name="store"):
        server = super().started(*options, name=name)
        asking = server.client()
        cls.image, cls.data = pushed_image(asking.repository("kept"), tag="v1")
        cls.blob = json.loads(cls.data)["config"]["digest"]
        asking.close()
        server.stop()
        return registry_process.Server(server.directory, "--no-delete", home=cls.scratch)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(lambda: cls.server.stop())

    def forbidden(self, answer, allowed):
        self.assertEqual(["UNSUPPORTED"], answer.expect(405).codes())
        self.assertEqual(sorted(allowed), sorted(filter(None, answer.all_of("Allow"))))

    def test_a_no_delete(self):
        kept = self.client.repository("kept")
        self.forbidden(kept.manifest("v1", "DELETE"), ["GET", "HEAD", "PUT"])
        self.forbidden(kept.manifest(self.image["digest"], "DELETE"), ["GET", "HEAD", "PUT"])
        self.forbidden(kept.blob(self.blob, "DELETE"), ["GET", "HEAD"])
        kept.put("v2", self.data, MANIFEST).expect(201)
        kept.pushed(samples.noise())
        where = kept.begun()
        self.client.request("DELETE", where).expect(204)  # of an upload nothing is kept yet
        self.assertEqual(["v1", "v2"], kept.tags().json()["tags"])

    def test_b_read_only(self):
        where = self.client.repository("kept").begun()
        self.server.stop()
        type(self).server = registry_process.Server(self.server.directory, "--read-only", home=self.scratch)
        self.setUp()
        kept = self.client.repository("kept")
        before = self.client.get("/v2/_catalog").json()
        for answer in (kept.put("v3", self.data, MANIFEST), kept.manifest("v1", "DELETE"),
                       kept.blob(self.blob, "DELETE")):
            self.forbidden(answer, ["GET", "HEAD"])
        for answer in (kept.begin(), kept.push_at_once(b"x", digest_of(b"x")), kept.begin(mount=self.blob),
                       self.client.repository("made").begin(), kept.patch(where, b"x"),
                       kept.finish(where, digest_of(b"x"), b"x"), self.client.request("DELETE", where)):
            self.forbidden(answer, [])
        self.assertEqual(self.data, kept.manifest("v1").expect(200).body)
        kept.blob(self.blob).expect(200)
        self.assertEqual(before, self.client.get("/v2/_catalog").json())

    def test_c_methods_that_are_unknown(self):
        for method in ("POST", "OPTIONS", "TRACE", "BREW"):
            answer = self.client.request(method, "/v2/kept/manifests/v1")
            self.assertIn(answer.status, (405, 501), answer)
            if answer.status == 405:
                self.assertIn("GET", answer.all_of("Allow"))


class Paths(registry_process.ServerTest):
    def test_an_escaped_slash_is_none(self):
        """A proxy in front, which decides by the path, would see another one."""
        pushed_image(self.client.repository("a/b"), tag="v1")
        for path in ("/v2/a%2Fb/tags/list", "/v2/a%2fb/manifests/v1", "/v2/a/b%2fmanifests/v1", "/v2/a/b/manifests%2Fv1"):
            self.client.get(path).expect(404)
        self.client.request("POST", "/v2/a%2Fc/blobs/uploads/", b"").expect(404)
        self.client.get("/v2/a/%62/manifests/v1").expect(200)

    def test_every_answer_says_which_api_it_is(self):
        where = self.repository.begun()
        answers = [self.client.get("/v2/"), self.client.get("/v2/none"), self.client.request("BREW", "/v2/"),
                   self.repository.patch(where, b"abc"), self.repository.finish(where, digest_of(b"x")),
                   self.repository.finish(where, digest_of(b"abc")), self.repository.push_at_once(b"x", digest_of(b"y")),
                   self.repository.put("bad", b"bad", MANIFEST), self.repository.put("large", b"x" * (MOST + 1), MANIFEST),
                   self.repository.blob(digest_of(b"abc"), "DELETE"), pushed_and_put(self.repository)]
        self.assertEqual([200, 404, 405, 202, 400, 201, 400, 400, 413, 202, 201], [answer.status for answer in answers])
        for answer in answers:
            self.assertEqual(["registry/2.0"], answer.headers.get_all("Docker-Distribution-API-Version"), answer)
        self.assertIsNone(self.client.get("/none").header("Docker-Distribution-API-Version"))


def pushed_and_put(repository):
    _, data = pushed_image(repository)
    return repository.put("again", data, MANIFEST)


class RangesOfStreams(registry_process.ServerTest):
    """A chunk whose length no Content-Length says."""

    def stream(self, where, data, content_range, method="PATCH"):
        pieces = (data[i:i + 2] for i in range(0, len(data), 2))
        return self.client.request(method, where, pieces, {"Content-Range": content_range})

    def test_the_range_must_be_true(self):
        where = self.repository.begun()
        self.stream(where, b"abcdef", "0-5").expect(202)
        short = self.stream(where, b"gh", "6-9").expect(400)
        self.assertEqual((["SIZE_INVALID"], "0-7"), (short.codes(), short.header("Range")))
        long = self.stream(where, b"ijklmn", "8-9").expect(400)
        self.assertEqual((["SIZE_INVALID"], "0-9"), (long.codes(), long.header("Range")))
        self.stream(where, b"xx", "3-4").expect(416)
        self.assertEqual("0-9", self.client.get(where).expect(204).header("Range"))
        self.repository.finish(where, digest_of(b"abcdefghij")).expect(201)

    def test_at_the_end(self):
        where = self.repository.begun()
        end = with_query(where, digest=digest_of(b"abcd"))
        self.assertEqual(["SIZE_INVALID"], self.stream(end, b"abcd", "0-9", "PUT").expect(400).codes())
        self.repository.blob(digest_of(b"abcd")).expect(404)
        self.repository.finish(where, digest_of(b"abcd")).expect(201)


if __name__ == "__main__":
    registry_process.main()
