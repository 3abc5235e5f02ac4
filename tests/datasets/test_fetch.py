"""Fetching data by package name: verified, never run, and nothing written outside its folder. No network is used."""

from __future__ import annotations

import hashlib
import importlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from benchmarks.datasets import wesnoth
from foretell.claims import fetch
from foretell.claims.fetch import Package, Unavailable, Unsafe

FOLDER = Path(wesnoth.__file__).parent
SHARED = {"__init__", "labelled_text", "loaded", "make_embedded", "pickles"}
SEVERAL = {"english_text"}  # readers of more than one package
READERS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED | SEVERAL)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def tarred(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, target in (links or {}).items():
            item = tarfile.TarInfo(name)
            item.type, item.linkname = tarfile.SYMTYPE, target
            archive.addfile(item)
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
    return stream.getvalue()


def offered(monkeypatch, content: bytes, index: str = "pypi", sha256: str | None = None) -> Package:
    """A package whose client brings ``content``."""
    suffix = {"pypi": ".whl", "npm": ".tgz", "debian": ".deb"}[index]
    monkeypatch.setattr(fetch, "_run", lambda package, place: (place / f"brought{suffix}").write_bytes(content))
    return Package(index, "pictures", "1.0", sha256 or hashlib.sha256(content).hexdigest(), "MIT")


def test_an_archive_is_fetched_once(monkeypatch, cache):
    package = offered(monkeypatch, zipped({"a/b.txt": b"one", "c.txt": b"two"}))
    assert fetch.member(package, "a/b.txt") == b"one"
    monkeypatch.setattr(fetch, "_run", None)
    assert dict(fetch.members(package, lambda name: True)) == {"a/b.txt": b"one", "c.txt": b"two"}
    assert [path.name for path in cache.iterdir()] == ["pictures-1.0.whl"]
    with pytest.raises(Unsafe, match="has no file 'd'"):
        fetch.member(package, "d")


def test_an_archive_that_is_not_the_pinned_one_is_neither_read_nor_kept(monkeypatch, cache):
    package = offered(monkeypatch, zipped({"a": b"changed"}), sha256="0" * 64)
    with pytest.raises(Unsafe, match=r"pypi pictures 1.0: SHA-256 .* expected 0000"):
        fetch.member(package, "a")
    assert list(cache.iterdir()) == []


def test_a_damaged_archive_in_the_cache_is_fetched_again(monkeypatch, cache):
    package = offered(monkeypatch, zipped({"a": b"whole"}))
    cache.mkdir(parents=True)
    (cache / "pictures-1.0.whl").write_bytes(b"cut sh")
    assert fetch.member(package, "a") == b"whole"


def test_without_the_client_it_is_unavailable(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match=r"npm pictures 1.0: .* no 'npm' on this machine"):
        fetch.fetch(Package("npm", "pictures", "1.0", "0" * 64, "MIT"))


def test_what_the_index_has_not_is_unavailable_with_the_clients_words(monkeypatch, cache):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(Unavailable, match=r"cannot be fetched .*No matching distribution"):
        fetch.fetch(Package("pypi", "no-such-pictures", "1.0", "0" * 64, "MIT"))
    assert list(cache.iterdir()) == []


def packages_of(reader):
    module = importlib.import_module(f"benchmarks.datasets.{reader}")
    return module.PACKAGES if reader in SEVERAL else [module.PACKAGE]


@pytest.mark.parametrize("package", [p for reader in [*READERS, *SEVERAL] for p in packages_of(reader)], ids=str)
def test_clients_neither_install_nor_build_nor_run(package):
    line = fetch.command(package)
    assert line[-1].startswith(package.name)
    assert line[-1].endswith(package.version)
    if package.index == "pypi":  # a source distribution would run its own build to be downloaded
        assert {"download", "--no-deps", "--only-binary=:all:"} <= set(line)
    elif package.index == "npm":
        assert line[1] == "pack"
        assert "--ignore-scripts" in line
    else:
        assert line[:2] == ["apt-get", "download"]


OUTSIDE = ["../out.txt", "a/../../out.txt", "/out.txt", "..\\out.txt", "C:/out.txt", "./../out.txt"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("index", ["pypi", "npm"])
def test_a_name_that_leads_out_of_the_archive_stops_the_reading(monkeypatch, tmp_path, name, index):
    content = (zipped if index == "pypi" else tarred)({name: b"x"})
    package = offered(monkeypatch, content, index)
    with pytest.raises(Unsafe, match="leads out of it"):
        fetch.unpack(package, lambda name: name)
    assert not list(tmp_path.rglob("out.txt"))


def test_a_link_in_an_archive_is_not_followed(monkeypatch, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    content = tarred({"door/out.txt": b"x"}, links={"door": str(outside)})
    folder = fetch.unpack(offered(monkeypatch, content, "npm"), lambda name: name)
    assert (folder / "door" / "out.txt").read_bytes() == b"x"
    assert not (folder / "door").is_symlink()
    assert list(outside.iterdir()) == []


def test_a_reader_cannot_write_outside_its_folder(monkeypatch):
    with pytest.raises(Unsafe, match="leads out"):
        fetch.unpack(offered(monkeypatch, zipped({"a": b"x"})), lambda name: f"../{name}")


@pytest.mark.parametrize("index", ["pypi", "npm"])
def test_a_file_too_large_is_refused_before_it_is_read(monkeypatch, index):
    monkeypatch.setattr(fetch, "LARGEST", 1000)
    package = offered(monkeypatch, (zipped if index == "pypi" else tarred)({"big": b"0" * 1001}), index)
    with pytest.raises(Unsafe, match="'big' has 1001 bytes"):
        fetch.member(package, "big")


def test_unpacking_is_whole_or_not_at_all(monkeypatch, cache):
    package = offered(monkeypatch, zipped({"a.png": b"1", "b.png": b"2", "c.txt": b"3"}))

    def stops(name: str) -> str | None:
        if name == "b.png":
            raise KeyboardInterrupt
        return name

    with pytest.raises(KeyboardInterrupt):
        fetch.unpack(package, stops)
    assert [path.name for path in cache.iterdir()] == ["pictures-1.0.whl"]
    folder = fetch.unpack(package, lambda name: f"x/{name}" if name.endswith(".png") else None)
    assert sorted(path.name for path in (folder / "x").iterdir()) == ["a.png", "b.png"]
    monkeypatch.setattr(fetch, "_run", None)
    assert fetch.unpack(package, lambda name: None) == folder


def test_a_set_that_another_process_unpacked_meanwhile_is_taken(monkeypatch, cache):
    package = offered(monkeypatch, zipped({"a.png": b"one"}))

    def rename(name):
        (cache / "pictures-1.0.1").mkdir(exist_ok=True)
        (cache / "pictures-1.0.1" / "a.png").write_bytes(b"one")
        return name

    assert fetch.unpack(package, rename) == cache / "pictures-1.0.1"
    assert sorted(path.name for path in cache.iterdir()) == ["pictures-1.0.1", "pictures-1.0.whl"]


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb on this machine")
def test_a_debian_package_is_read_without_running_its_scripts(monkeypatch, tmp_path):
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {
        "Package": "pictures",
        "Version": "1.0",
        "Architecture": "all",
        "Maintainer": "x <x@x>",
        "Description": "x",
    }
    (tree / "DEBIAN" / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    script = tree / "DEBIAN" / "preinst"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o755)
    (tree / "usr" / "share").mkdir(parents=True)
    (tree / "usr" / "share" / "a.png").write_bytes(b"picture")
    subprocess.run(["dpkg-deb", "--build", str(tree), str(tmp_path / "made.deb")], check=True, capture_output=True)
    package = offered(monkeypatch, (tmp_path / "made.deb").read_bytes(), "debian")
    assert dict(fetch.members(package, lambda name: True)) == {"usr/share/a.png": b"picture"}
    assert not (tmp_path / "ran").exists()


def test_units_are_the_shortest_names_that_are_pictures():
    paths = [
        "drakes/arbiter-blade-s-4.png",
        "drakes/arbiter.png",
        "human/archer+female-bow-1.png",
        "human/archer+female.png",
        "human/archer-bow-1.png",
        "human/archer.png",
        "human/master-archer.png",
        "quintain.png",
    ]
    found = wesnoth.units(paths)
    assert found[:2] == ["drakes/arbiter"] * 2
    assert found[2:6] == ["human/archer"] * 4
    assert found[6:] == ["human/master-archer", "quintain"]


@pytest.mark.parametrize("reader", sorted(SEVERAL))
def test_a_reader_of_several_packages_stands_in_the_table(reader):
    rows = (FOLDER / "README.md").read_text().splitlines()
    row = next(row for row in rows if row.startswith(f"| `{reader}` |"))
    for package in packages_of(reader):
        assert len(bytes.fromhex(package.sha256)) == 32
        assert f"`{package.name}` {package.version}" in row
        assert package.licence in row


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_says_what_it_is_and_stands_in_the_table(reader):
    module = importlib.import_module(f"benchmarks.datasets.{reader}")
    assert (module.PACKAGE.name, module.PACKAGE.version) == (module.NAME, module.VERSION)
    assert len(bytes.fromhex(module.SHA256)) == 32
    assert module.PACKAGE.sha256 == module.SHA256
    assert "INSIDE:" in module.__doc__
    rows = (FOLDER / "README.md").read_text().splitlines()
    row = next(row for row in rows if row.startswith(f"| `{reader}` |"))
    assert f"`{module.NAME}` {module.VERSION} |" in row
    assert module.LICENCE.split(":")[0] in row
