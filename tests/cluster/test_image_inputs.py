"""What decides about an image: its name, the files that go into it, the settings it is built with."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path, PurePath

import pytest

from e2e.cluster.images.apt_settings import apt_conf
from e2e.cluster.images.context import content_key, context_files, stage
from e2e.cluster.images.dockerfile import copied_paths, is_copied
from e2e.cluster.images.pip_settings import pip_conf
from e2e.cluster.images.reference import normalized


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("heterollm/engine-sim:0.1.0", "docker.io/heterollm/engine-sim:0.1.0"),
        ("busybox", "docker.io/library/busybox:latest"),
        ("localhost/heterollm/pause:1", "localhost/heterollm/pause:1"),
        ("registry.example:5000/team/image", "registry.example:5000/team/image:latest"),
    ],
)
def test_names_get_their_full_form(name: str, full: str) -> None:
    assert normalized(name) == full
    assert normalized(full) == full


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "app").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "app" / "main.py").write_text("print()\n")
    return folder


def _key(context: Path, **arguments: str) -> str:
    return content_key(context, context_files(context), context / "Dockerfile", arguments)


def test_the_key_follows_every_input(context: Path) -> None:
    keys = [_key(context), _key(context, BASE="a"), _key(context, BASE="b")]
    (context / "app" / "main.py").write_text("print(1)\n")
    keys.append(_key(context))
    (context / "app" / "main.py").rename(context / "app" / "other.py")
    keys.append(_key(context))
    (context / "app" / "other.py").chmod(0o755)
    keys.append(_key(context))
    (context / "app" / "link.py").symlink_to("other.py")
    keys.append(_key(context))
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_depend_on_times_and_umask(context: Path) -> None:
    before = _key(context)
    main = context / "app" / "main.py"
    main.write_text(main.read_text())
    main.chmod(0o600)
    assert _key(context) == before


def test_in_a_checkout_what_git_ignores_stays_outside(context: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(context)], check=True)
    (context / ".gitignore").write_text("*.log\n")
    (context / "build.log").write_text("noise")
    (context / "deleted.py").write_text("")
    subprocess.run(["git", "-C", str(context), "add", "deleted.py"], check=True)
    (context / "deleted.py").unlink()
    names = [str(file) for file in context_files(context)]
    assert names == [".gitignore", "Dockerfile", "app/main.py"]


def test_the_staged_copy_has_fixed_times_and_modes(context: Path, tmp_path: Path) -> None:
    (context / "app" / "main.py").chmod(0o700)
    stage(context, context_files(context), tmp_path / "copy")
    status = (tmp_path / "copy" / "app" / "main.py").stat()
    assert (status.st_mtime, status.st_mode & 0o777) == (0, 0o755)


def test_pip_gets_the_hosts_index_and_nothing_about_the_hosts_folders() -> None:
    listed = "\n".join(
        [
            "global.cert='/home/me/ca.pem'",
            "global.index-url='https://first.example/index'",
            "global.find-links='/home/me/wheels'",
            "global.extra-index-url='https://a.example/ https://b.example/'",
            ":env:.index-url='https://wins.example/100%25/index'",
        ]
    )
    parser = configparser.RawConfigParser()
    parser.read_string(pip_conf(listed))
    options = dict(parser["global"])
    assert options.pop("index-url") == "https://wins.example/100%25/index"
    assert options.pop("extra-index-url").split() == ["https://a.example/", "https://b.example/"]
    assert "/home" not in str(options)


def test_apt_gets_how_the_host_reaches_its_mirror_and_nothing_of_the_hosts_files() -> None:
    kept = [
        'Acquire::Check-Date "false";',
        'Acquire::http::Proxy "http://proxy.example:3142/";',
        'Acquire::http::Proxy::near.example "DIRECT";',
        'Acquire::https::mirror.example::Verify-Peer "false";',
    ]
    other = [
        'APT::Update::Post-Invoke "rm /something";',
        'Acquire "";',
        'Acquire::http::Proxy-Auto-Detect "/home/me/detect";',
        'Acquire::https::CaInfo "/home/me/ca.pem";',
        'Acquire::Languages:: "none";',
    ]
    assert apt_conf("\n".join([*other[:2], *kept, *other[2:]])) == "".join(f"{line}\n" for line in kept)


@pytest.mark.parametrize(
    ("instruction", "copied", "other"),
    [
        ("COPY app /app", "app/main.py", "apple.py"),
        ("COPY one.txt two.txt /texts/", "two.txt", "three.txt"),
        ("COPY --chown=1:1 /app/main.py /", "app/main.py", "app/other.py"),
        ("copy one.txt \\\n  # a comment between\n  two.txt /texts/", "two.txt", "three.txt"),
        ("COPY --from=build out /out\nADD app /app", "app/main.py", "out/main.py"),
    ],
)
def test_only_what_is_copied_belongs_to_an_image(tmp_path: Path, instruction: str, copied: str, other: str) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM scratch\n{instruction}\nCMD run\n")
    paths = copied_paths(dockerfile)
    assert is_copied(PurePath(copied), paths)
    assert is_copied(PurePath(".dockerignore"), paths)
    assert not is_copied(PurePath(other), paths)


@pytest.mark.parametrize("instruction", ["COPY . /app", "COPY *.py /app/", 'COPY ["a b", "/c"]', "COPY $FILE /app/"])
def test_what_cannot_be_told_counts_whole(tmp_path: Path, instruction: str) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM scratch\n{instruction}\n")
    assert is_copied(PurePath("any/file"), copied_paths(dockerfile))
