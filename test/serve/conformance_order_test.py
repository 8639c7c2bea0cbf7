#!/usr/bin/env python3
"""What the distribution specification says of single requests at unusual moments: content that is pushed again, in
another order than usual, or deleted before what refers to it; uploads that are asked for at an old place; references
that can stand for nothing. Another registry can be asked, too: see cases.py."""
import json

import cases
import client
import samples
from client import digest_of

# Neither a tag nor a digest, of every kind that can be written into a path.
NO_REFERENCES = (".INVALID_MANIFEST_NAME", "-x", "a" * 129, "a%20b", "%C3%A4", "a+b", "a@b")
ERROR_CODES = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
    "UNSUPPORTED", "TOOMANYREQUESTS"}


class ConformanceOrderTest(cases.CaseTest):
    def check_errors(self, answer, *statuses):
        """An error whose body is in the specification's form."""
        codes = answer.expect(*statuses).codes()
        self.assertTrue(codes and set(codes) <= ERROR_CODES, answer)

    # Errors.

    def test_references_that_are_none(self):
        content = samples.Content()
        digest = content.image(tag="image")["digest"]
        content.push_to(self.repository)
        media_type, data = content.manifests[digest]
        for reference in NO_REFERENCES:
            with self.case("no reference", "GET", reference):
                self.check_errors(self.repository.manifest(reference), 404)
            with self.case("no reference", "HEAD", reference):
                self.assertEqual(b"", self.repository.manifest(reference, "HEAD").expect(404).body)
            with self.case("no reference", "DELETE", reference):
                self.check_errors(self.repository.manifest(reference, "DELETE"), 404)
            with self.case("no reference", "PUT", reference):
                self.check_errors(self.repository.put(reference, data, media_type), 400)
        with self.case("no reference", "what is there stays"):
            self.assertEqual(["image"], self.repository.tags().expect(200).json()["tags"])
            self.check_manifest(self.repository, "image", digest, media_type, data)

    def test_bodies_of_errors(self):
        requests = {
            "GET with a body": ("GET", "manifests/sha256:totallywrong", b"blablabla", (400, 404)),
            "no JSON": ("PUT", "manifests/x", b"blablabla", (400,)),
            "missing manifest": ("GET", "manifests/none", None, (404,)),
            "missing blob": ("GET", f"blobs/{digest_of(samples.noise())}", None, (404,)),
            "missing upload": ("GET", "blobs/uploads/none", None, (404,)),
            "end of a missing upload": ("PUT", f"blobs/uploads/none?digest={digest_of(b'')}", b"", (404,)),
            "method": ("PATCH", "manifests/none", b"", (405,)),
        }
        self.repository.pushed(samples.noise())
        for name, (method, below, body, statuses) in requests.items():
            with self.case("body of an error", name):
                self.check_errors(self.repository.ask(method, below, body, content_type=samples.MANIFEST), *statuses)
        with self.case("body of an error", "name of a repository"):
            self.check_errors(self.client.repository("UPPER/case").tags(), 400, 404)

    # Uploads.

    def test_the_same_chunk_again(self):
        """At the place of the first answer, as a client does that has not seen the second one."""
        for algorithm in cases.ALGORITHMS:
            data = samples.noise(5000)
            (_, one), (first, two), _ = client.thirds(data)
            digest = digest_of(one + two, algorithm)
            with self.case(f"{algorithm} blob", "chunk sent again"):
                old = self.repository.begun()
                self.repository.patch(old, one, 0).expect(202)
                self.repository.patch(old, one, 0).expect(416)
                state = self.client.get(old).expect(204)
                self.assertEqual(f"0-{len(one) - 1}", state.header("Range"))
                answer = self.repository.patch(state.location(), two, first).expect(202)
                self.assertEqual(f"0-{first + len(two) - 1}", answer.header("Range"))
                self.check_created(self.repository.finish(answer.location(), digest), digest, one + two)

    def test_an_upload_without_bytes_is_cancelled(self):
        with self.case("cancel of an empty upload"):
            where = self.repository.begun()
            self.client.request("DELETE", where).expect(204)
            self.check_errors(self.client.get(where), 404)

    def test_push_again(self):
        for algorithm in cases.ALGORITHMS:
            data = samples.noise()
            digest = self.repository.pushed(data, algorithm)
            for way in ("push", "push_at_once", "push_in_chunks", "push_as_stream"):
                with self.case(f"{algorithm} blob", "pushed again", way):
                    self.check_created(getattr(self.repository, way)(data, digest), digest, data)
            content = samples.Content(algorithm)
            manifest = content.image()["digest"]
            content.push_to(self.repository)
            media_type, text = content.manifests[manifest]
            with self.case(f"{algorithm} manifest", "pushed again"):
                self.check_created(self.repository.put(manifest, text, media_type), manifest, text)

    def test_places_of_mounts(self):
        data, absent = samples.noise(), digest_of(samples.noise())
        source = self.client.repository("order/source")
        digest = source.pushed(data)
        for name, parameters in (("from", {"from": source.name}), ("from anywhere", {})):
            into = self.client.repository("order/into-" + name.replace(" ", "-"))
            with self.case("mount", name):
                answer = into.begin(mount=digest, **parameters).expect(201)
                self.assertEqual(into.path(f"blobs/{digest}"), answer.location())
            with self.case("mount of what is not there", name):
                answer = into.begin(mount=absent, **parameters).expect(202)
                self.assertTrue(answer.location().startswith(into.path("blobs/uploads/")), answer)

    # Order.

    def test_blobs_deleted_first(self):
        """What refers to them stays as it is, and can be deleted."""
        for name in ("image", "index", "artifact"):
            content = samples.SHAPES[name]().push_to(self.repository)
            for digest in content.blobs:
                with self.case(name, "blob deleted before its manifest", digest[:15]):
                    self.repository.blob(digest, "DELETE").expect(202)
                    self.repository.blob(digest).expect(404)
            for digest, (media_type, data) in reversed(content.manifests.items()):
                with self.case(name, "manifest deleted after its blobs", digest[:15]):
                    self.check_manifest(self.repository, digest, digest, media_type, data)
                    self.repository.manifest(digest, "DELETE").expect(202)
                    self.repository.manifest(digest).expect(404)
        with self.case("tags of manifests deleted after their blobs"):
            self.assertEqual([], self.repository.tags().expect(200).json()["tags"])

    def test_referrers_before_their_subject(self):
        content = samples.artifacts_with_subject()
        subject = content.tags.pop("image")
        media_type, data = content.manifests.pop(subject)
        content.push_to(self.repository)
        digests = sorted(entry["digest"] for entry in content.referrers[subject])
        with self.case("referrers before their subject"):
            self.assertEqual(digests, self.referrers_of(subject))
        with self.case("subject after its referrers"):
            self.check_created(self.repository.put("image", data, media_type), subject, data)
            self.assertEqual(digests, self.referrers_of(subject))
        with self.case("referrers are not tags"):
            self.assertEqual(["image", "sbom", "signature"], self.repository.tags().expect(200).json()["tags"])
        with self.case("subject deleted"):
            self.repository.manifest(subject, "DELETE").expect(202)
            self.assertEqual(digests, self.referrers_of(subject))

    def referrers_of(self, digest):
        return sorted(entry["digest"] for entry in self.repository.referrers(digest).expect(200).json()["manifests"])

    def test_type_of_a_referrer_without_artifact_type(self):
        """It is that of its config."""
        content = samples.Content()
        subject = content.image()
        config = content.blob(samples.noise(), samples.SBOM)
        content.manifest(config, [content.blob(b"{}", samples.EMPTY)], subject=subject, annotations={"note": "a"})
        content.push_to(self.repository)
        with self.case("referrers", "type of the config"):
            (entry,) = self.repository.referrers(subject["digest"], artifactType=samples.SBOM).json()["manifests"]
            self.assertEqual((samples.SBOM, {"note": "a"}), (entry["artifactType"], entry["annotations"]))

    # Tags.

    def test_tags_of_both_cases(self):
        content = samples.Content()
        digest = content.image()["digest"]
        tags = [name + str(number) for name in ("test", "TEST") for number in range(4)]
        content.tags = {tag: digest for tag in tags}
        content.push_to(self.repository)
        whole = self.listed()
        with self.case("tags of both cases", "order"):
            self.assertIn(whole, (sorted(tags), sorted(tags, key=str.lower)))
        with self.case("tags of both cases", "n and last"):
            for count in range(1, len(tags) + 1):
                for number, last in enumerate(whole):
                    self.assertEqual(whole[number + 1:number + 1 + count], self.listed(n=count, last=last))
        with self.case("tags of both cases", "last that is no tag of it"):
            self.assertEqual([tag for tag in whole if tag > "TEST2x"], self.listed(last="TEST2x"))
        for number, tag in enumerate(tags):
            with self.case("tags of both cases", "delete", tag):
                self.repository.manifest(tag, "DELETE").expect(202)
                self.assertEqual(sorted(tags[number + 1:]), sorted(self.listed()))
        with self.case("tags of both cases", "delete", "the manifest stays"):
            self.repository.manifest(digest).expect(200)

    def listed(self, **parameters):
        return self.repository.tags(**parameters).expect(200).json()["tags"]

    def test_a_tag_moves(self):
        content = samples.Content()
        for _ in range(2):
            content.image()
        content.push_to(self.repository)
        for digest, (media_type, data) in content.manifests.items():
            with self.case("a tag moves", digest[:15]):
                self.check_created(self.repository.put("moving", data, media_type), digest, data)
                self.check_manifest(self.repository, "moving", digest, media_type, data)
        with self.case("a tag moves", "what it stood for stays"):
            for digest, (media_type, data) in content.manifests.items():
                self.check_manifest(self.repository, digest, digest, media_type, data)

    def test_accept_in_several_fields(self):
        descriptor, data = samples.pushed_image(self.repository, tag="image")
        for name, fields in {"each": ("Accept: " + samples.INDEX, "Accept: " + samples.MANIFEST), "none": (),
                             "all": ("Accept: */*",)}.items():
            with self.case("Accept", name):
                lines = (f"GET {self.repository.path('manifests/image')} HTTP/1.1", f"Host: {self.client.address}",
                         "Connection: close", *fields, "", "")
                answer = self.client.raw("\r\n".join(lines).encode())
                self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer[:200])
                self.assertTrue(answer.endswith(b"\r\n\r\n" + data), descriptor)

    def test_manifests_are_not_changed_by_their_form(self):
        """Blanks, order of keys, and line ends are part of the bytes."""
        content = samples.Content()
        digest = content.image()["digest"]
        content.push_to(self.repository)
        document = json.loads(content.manifests[digest][1])
        for name, text in {"tabs": json.dumps(document, indent="\t"), "reversed": json.dumps(dict(reversed(document.items()))),
                           "ends of lines": json.dumps(document, indent=1).replace("\n", "\r\n") + "\r\n"}.items():
            with self.case("form of a manifest", name):
                data = text.encode()
                self.check_created(self.repository.put(name.replace(" ", "-"), data, samples.MANIFEST), digest_of(data), data)


if __name__ == "__main__":
    cases.main()
