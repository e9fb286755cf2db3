"""An image is called by a hash of what it is made of."""

import hashlib
import io
import json
import tarfile

from devcluster import images, pause
from devcluster.image_inputs import IMAGES, TORCH_IMAGE, reference
from devcluster.paths import Paths

OPERATOR = next(image for image in IMAGES if image.name == "operator")


def test_an_unchanged_image_keeps_its_name() -> None:
    assert reference(OPERATOR, "base:1") == reference(OPERATOR, "base:1")


def test_another_base_is_another_image() -> None:
    assert reference(OPERATOR, "base:1") != reference(OPERATOR, "base:2")


def test_the_heavy_image_does_not_depend_on_our_sources() -> None:
    assert TORCH_IMAGE.distributions == ()


def test_names_below_a_registry_keep_the_hash() -> None:
    here, there = (
        images.image_names(Paths.from_environment()),
        images.image_names(Paths.from_environment(), prefix="registry.example/team/"),
    )
    assert there.keys() == here.keys() == {"operator", "tables", "predictor", "trainer"}
    assert there["trainer"] == f"registry.example/team/trainer:{here['trainer'].rpartition(':')[2]}"


def test_a_hand_made_archive_names_every_blob_by_its_content() -> None:
    with tarfile.open(fileobj=io.BytesIO(pause.pack(b"program", name="localhost/x:dev"))) as archive:
        contents = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    blobs = {name.rpartition("/")[2]: content for name, content in contents.items() if name.startswith("blobs/")}
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in blobs.items())
    (manifest,) = json.loads(contents["index.json"])["manifests"]
    assert manifest["annotations"] == {"io.containerd.image.name": "localhost/x:dev"}
    assert manifest["digest"].removeprefix("sha256:") in blobs
