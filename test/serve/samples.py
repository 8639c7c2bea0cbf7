"""What tests push: images, lists and artifacts of every shape that the image specification knows, each of bytes of its
own."""
import base64
import gzip
import io
import json
import secrets
import tarfile

from client import digest_of

OCTETS = "application/octet-stream"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1"
PLATFORMS = [{"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}]


def noise(size=512):
    return secrets.token_bytes(size)


def layer_bytes():
    """A layer with one file; gives it as tar."""
    content, buffer = secrets.token_hex(32).encode(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(f"file-{secrets.token_hex(4)}.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Content:
    """Blobs and manifests, in the order in which they are pushed, with the tags and referrers that they make."""

    def __init__(self, algorithm="sha256", with_data=False, custom=False):
        self.algorithm, self.with_data, self.custom = algorithm, with_data, custom
        self.blobs = {}  # digest -> bytes
        self.manifests = {}  # digest -> (media type, bytes)
        self.tags = {}  # tag -> digest
        self.referrers = {}  # digest of the subject -> descriptors as the list of referrers has them

    def described(self, data, media_type):
        descriptor = {"mediaType": media_type, "digest": digest_of(data, self.algorithm), "size": len(data)}
        if self.with_data:
            descriptor["data"] = base64.b64encode(data).decode()
        return descriptor

    def blob(self, data, media_type=OCTETS):
        descriptor = self.described(data, media_type)
        self.blobs[descriptor["digest"]] = data
        return descriptor

    def layer(self, compressed=True):
        """Gives its descriptor and the digest of the uncompressed bytes."""
        plain = layer_bytes()
        packed = gzip.compress(plain) if compressed else plain
        return self.blob(packed, LAYER_GZIP if compressed else LAYER), digest_of(plain, self.algorithm)

    def config(self, diff_ids, platform):
        document = {**platform, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "author": secrets.token_hex(8)}
        return self.blob(self.written(document), CONFIG)

    def written(self, document):
        if self.custom:
            document = document | {f"org.example.{secrets.token_hex(4)}": secrets.token_hex(8)}
        return json.dumps(document, separators=(",", ":")).encode()

    def image(self, layers=2, compressed=True, platform=PLATFORMS[0], tag=None, **members):
        made = [self.layer(compressed) for _ in range(layers)]
        config = self.config([diff_id for _, diff_id in made], platform)
        return self.manifest(config, [layer for layer, _ in made], tag=tag, **members)

    def artifact(self, artifact_type=SBOM, files=None, tag=None, file_type=SBOM, **members):
        files = [noise(2048)] if files is None else files
        layers = [self.blob(data, file_type) for data in files]
        return self.manifest(self.blob(b"{}", EMPTY), layers, tag=tag, artifactType=artifact_type, **members)

    def manifest(self, config, layers, tag=None, **members):
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **members}
        return self.added(document, members.get("artifactType") or config["mediaType"], tag)

    def index(self, children, platforms=(), tag=None, **members):
        entries = [child | ({"platform": platforms[i]} if i < len(platforms) else {})
                   for i, child in enumerate(children)]
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, **members}
        return self.added(document, members.get("artifactType"), tag)

    def image_list(self, tag=None, platforms=PLATFORMS, make=None, **members):
        make = make or (lambda platform: self.image(platform=platform))
        return self.index([make(platform) for platform in platforms], platforms, tag, **members)

    def added(self, document, artifact_type, tag):
        data = self.written(document)
        descriptor = self.described(data, document["mediaType"])
        self.manifests[descriptor["digest"]] = (document["mediaType"], data)
        if tag:
            self.tags[tag] = descriptor["digest"]
        if "subject" in document:
            entry = {"mediaType": document["mediaType"], "digest": descriptor["digest"], "size": len(data)}
            entry |= {"artifactType": artifact_type} if artifact_type else {}
            entry |= {"annotations": document["annotations"]} if document.get("annotations") else {}
            self.referrers.setdefault(document["subject"]["digest"], []).append(entry)
        return descriptor

    def push_to(self, repository):
        """Pushes all of it, which must succeed."""
        for digest, data in self.blobs.items():
            repository.push(data, digest).expect(201)
        for digest, (media_type, data) in self.manifests.items():
            repository.put(digest, data, media_type).expect(201)
        for tag, digest in self.tags.items():
            media_type, data = self.manifests[digest]
            repository.put(tag, data, media_type).expect(201)
        return self


def pushed_image(repository, tag=None, **options):
    """An image that is in the repository: its descriptor, and its bytes."""
    content = Content()
    descriptor = content.image(tag=tag, **options)
    content.push_to(repository)
    return descriptor, content.manifests[descriptor["digest"]][1]


def annotated():
    return {"org.example.note": "told by a test", f"org.example.{secrets.token_hex(4)}": secrets.token_hex(4)}


# The shapes of data that a registry must keep, each a function that gives its Content.

def artifacts_with_subject():
    content = Content()
    subject = content.image(tag="image")
    content.image(subject=subject)
    content.artifact(SBOM, tag="sbom", annotations=annotated(), subject=subject)
    content.artifact(SIGNATURE, tag="signature", file_type=OCTETS, annotations=annotated(), subject=subject)
    return content


def index_with_subject():
    content = Content()
    subject = content.image_list(tag="index")
    content.image_list(tag="described", make=lambda platform: content.artifact(subject=subject, annotations=annotated()),
                       artifactType=SBOM, annotations=annotated(), subject=subject)
    content.index([], subject=subject)  # has no artifactType, and none is made up for it
    return content


def missing_subject():
    content = Content()
    subject = {"mediaType": MANIFEST, "digest": digest_of(noise()), "size": 123}
    content.artifact(tag="early", annotations=annotated(), subject=subject)
    return content


def foreign_layers():
    content = Content()
    foreign = [{"mediaType": FOREIGN + suffix, "digest": digest_of(noise()), "size": 123456,
                "urls": ["https://store.example.com/layer"]} for suffix in ("+gzip", "")]
    layer, diff_id = content.layer()
    config = content.config([digest_of(noise()), digest_of(noise()), diff_id], PLATFORMS[0])
    content.manifest(config, [*foreign, layer], tag="foreign")
    return content


def nested_index():
    content = Content()
    content.index([content.image_list(), content.image_list()], tag="nested")
    return content


def sparse():
    """An image without one of its layers, and a list without one of its platforms."""
    content = Content()
    content.image(tag="sparse-image")
    layer = json.loads(content.manifests[content.tags["sparse-image"]][1])["layers"][0]
    del content.blobs[layer["digest"]]
    absent = {"mediaType": MANIFEST, "digest": digest_of(noise()), "size": 1024}
    content.index([content.image(), absent], PLATFORMS, tag="sparse-index")
    return content


def with_tag_parameters(algorithm):
    content = Content(algorithm)
    top = content.image_list()["digest"]
    for number in range(12):
        content.tags[f"many-{algorithm}-{number}"] = top
    for number, digest in enumerate(content.manifests):
        content.tags[f"each-{algorithm}-{number}"] = digest
    return content


def of(make, **options):
    """A shape that is made by one method of Content."""
    def shape():
        content = Content(**options)
        make(content)
        return content
    return shape


LARGE = {f"large-annotation-{number}": "A" * 10_000 for number in range(390)}
SHAPES = {
    "image": of(lambda content: content.image(tag="image")),
    "image, uncompressed": of(lambda content: content.image(tag="uncompressed", compressed=False)),
    "large manifest": of(lambda content: content.image(tag="large", annotations=LARGE)),
    "index": of(lambda content: content.image_list(tag="index")),
    "nested index": nested_index,
    "empty index": of(lambda content: content.index([], tag="empty-index")),
    "artifact": of(lambda content: content.artifact(tag="artifact")),
    "artifact index": of(lambda content: content.image_list(tag="artifact-index", artifactType=SBOM,
                                                            make=lambda platform: content.artifact())),
    "artifact without layers": of(lambda content: content.artifact(tag="only-config", files=[b"{}"], file_type=EMPTY)),
    "artifacts with subject": artifacts_with_subject,
    "index with subject": index_with_subject,
    "missing subject": missing_subject,
    "data field": of(lambda content: content.image(tag="data"), with_data=True),
    "non-distributable layers": foreign_layers,
    "custom fields": of(lambda content: content.image_list(tag="custom"), custom=True),
    "no layers": of(lambda content: content.image(tag="no-layers", layers=0)),
    "sha512": of(lambda content: content.image_list(), algorithm="sha512"),
}
SPARSE_SHAPES = {"sparse": sparse}
TAGGING_SHAPES = {f"tag parameters, {algorithm}": lambda algorithm=algorithm: with_tag_parameters(algorithm)
                  for algorithm in ("sha256", "sha512")}
