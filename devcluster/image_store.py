"""buildah with a store of its own below the state folder, and containerd's images.

What is there, and how one gets from one to the other.

An image with torch in it is 6 GB. It is moved once, as the torch image; what stands on it is moved as the few small
layers that containerd does not hold yet.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from devcluster import commands, containers, processes, teardown
from devcluster.errors import CommandFailed
from devcluster.paths import Paths
from devcluster.steps import say

CHUNK_BYTES = 1 << 20


class Buildah:
    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.command = ["buildah", "--root", str(paths.buildah), "--runroot", str(paths.buildah_run)]
        # It writes whole layers into its temporary folder: not into somebody's small /tmp.
        self.environment = {"TMPDIR": str(paths.image_scratch)}
        # So that one whose parent was killed is found, and ended before the next begins.
        self.environment |= {processes.MARK_STATE: str(paths.state), processes.MARK_PART: processes.BUILDER}

    def __call__(self, *arguments: str | Path) -> str:
        return commands.run([*self.command, *arguments], env=self.environment)

    def has(self, reference: str) -> bool:
        return commands.succeeds([*self.command, "inspect", "--type", "image", reference])

    def layers(self, reference: str) -> list[str]:
        """The digests of an image's layers, uncompressed, the lowest first."""
        described = json.loads(self("inspect", "--type", "image", reference))
        digests: list[str] = described["OCIv1"]["rootfs"]["diff_ids"]
        return digests


@contextlib.contextmanager
def opened(paths: Paths) -> Iterator[Buildah]:
    """One user of the store at a time; what a killed one left goes first, and nothing stays mounted afterwards."""
    paths.state.mkdir(parents=True, exist_ok=True)
    with teardown.images_lock(paths).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another command makes images; waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        _clean(paths)
        paths.image_scratch.mkdir(parents=True)
        buildah = Buildah(paths)
        buildah("rm", "--all")
        try:
            yield buildah
        finally:
            _clean(paths)


def _clean(paths: Paths) -> None:
    """The lock is ours: whatever builds now is an orphan."""
    processes.stop(processes.builders(paths.state))
    teardown.unmount(teardown.image_mounts(paths))
    for folder in (paths.buildah_run, paths.image_scratch):
        if folder.exists():
            shutil.rmtree(folder)


def load_whole(paths: Paths, buildah: Buildah, reference: str) -> None:
    """Every layer, uncompressed: compressing and uncompressing 6 GB costs more than writing them."""
    importing = [*containers.command(paths), "images", "import", "-"]
    exporting = [*buildah.command, "push", "--quiet", reference, f"docker-archive:/dev/stdout:{reference}"]
    environment = commands.environment(buildah.environment)
    with (paths.image_scratch / "load.log").open("w+b") as log:
        source = subprocess.Popen(exporting, stdout=subprocess.PIPE, stderr=log, env=environment)
        sink = subprocess.Popen(importing, stdin=source.stdout, stdout=log, stderr=log, env=environment)
        assert source.stdout is not None
        source.stdout.close()  # so that the exporter notices when the importer ends
        results = (sink.wait(), source.wait())
        if any(results):
            log.seek(0)
            raise CommandFailed(
                f"moving {reference} into containerd failed: {log.read().decode(errors='replace').strip()}"
            )


def load_top(paths: Paths, buildah: Buildah, reference: str) -> None:
    """Only the layers that containerd does not hold.

    buildah skips what it finds in the target, and containerd does not miss in the archive what it has.
    """
    layout = paths.image_scratch / "layout"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    held = {digest for digest in buildah.layers(reference) if blob_in_containerd(paths, digest).exists()}
    for digest in held:
        (blobs / _hex(digest)).symlink_to(blob_in_containerd(paths, digest))
    buildah("push", "--quiet", reference, f"oci:{layout}:image")
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": reference}
    files = {blob.relative_to(layout): blob for blob in blobs.iterdir() if not blob.is_symlink()}
    _import(paths, {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode()}, files)
    shutil.rmtree(layout)


def _import(paths: Paths, texts: Mapping[str, bytes], files: Mapping[Path, Path]) -> None:
    """Streams a tar into `ctr images import`."""
    importing = [*containers.command(paths), "images", "import", "-"]
    with subprocess.Popen(importing, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as sink:
        assert sink.stdin is not None
        assert sink.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it says itself what it did not like
            with tarfile.open(fileobj=sink.stdin, mode="w|", bufsize=CHUNK_BYTES) as tar:
                for name, content in texts.items():
                    entry = tarfile.TarInfo(name)
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
                for target, source in files.items():
                    tar.add(source, arcname=str(target))
            sink.stdin.close()
        said = sink.stdout.read().decode(errors="replace").strip()
    if sink.returncode != 0:
        raise CommandFailed(f"containerd did not take the image: {said}")


def blob_in_containerd(paths: Paths, digest: str) -> Path:
    return paths.containerd / "io.containerd.content.v1.content" / "blobs" / "sha256" / _hex(digest)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
