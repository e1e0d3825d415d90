"""`make release` in a copy of the checkout: its results, its refusals, and no partial changes."""

from __future__ import annotations

import pytest

from .conftest import Maintainer

NEXT = """## 0.2.0 (unreleased)

**Will this redeploy my images?** {answer}

"""


def test_checks_builds_commits_and_tags_a_release(maintainer: Maintainer) -> None:
    elsewhere = maintainer.tools / "elsewhere.git"
    maintainer.git("init", "--quiet", "--bare", str(elsewhere))
    maintainer.git("remote", "add", "origin", str(elsewhere))

    done = maintainer.release("0.1.0")

    assert done.returncode == 0, done.stdout
    assert maintainer.made() == ["check", "test ARGS="]
    assert sorted(path.name for path in (maintainer.folder / "dist").iterdir()) == [
        "cdk-ecrpublic-0.1.0.cdx.json",
        "cdk_ecrpublic-0.1.0-py3-none-any.whl",
        "cdk_ecrpublic-0.1.0.tar.gz",
    ]
    assert maintainer.git("cat-file", "-t", "v0.1.0") == "tag"
    assert maintainer.git("rev-parse", "v0.1.0^{commit}") == maintainer.git("rev-parse", "HEAD")
    assert maintainer.git("show", "--no-patch", "--format=%s%n%b") == (
        "release: 0.1.0\nthe first release: there is nothing to redeploy"
    )
    assert maintainer.git("diff", "--name-only", "HEAD~1") == "CHANGELOG.md"
    dated = maintainer.git("show", "--format=", "--unified=0", "HEAD").splitlines()[-1]
    assert dated.startswith("+## 0.1.0 (20")
    assert maintainer.git("status", "--porcelain") == ""
    assert maintainer.git("ls-remote", "origin") == "", "nothing leaves the machine"


def test_a_dry_run_does_everything_except_commit_and_tag(maintainer: Maintainer) -> None:
    before = maintainer.state()

    done = maintainer.release("0.1.0", "--dry-run")

    assert done.returncode == 0, done.stdout
    assert maintainer.made() == ["check", "test ARGS="]
    assert len(list((maintainer.folder / "dist").iterdir())) == 3
    assert maintainer.state() == before


def test_a_failure_changes_nothing(maintainer: Maintainer) -> None:
    before = maintainer.state()

    done = maintainer.release("0.1.0", broken="test")

    assert done.returncode == 1
    assert "make: test is broken" in done.stdout
    assert maintainer.state() == before
    assert not (maintainer.folder / "dist").exists()


@pytest.mark.parametrize(
    ("version", "prepare", "said"),
    [
        ("1.0", lambda _: None, "expected major.minor.patch"),
        ("0.2.0", lambda _: None, "pyproject.toml says 0.1.0, not 0.2.0"),
        ("0.1.0", lambda it: it.git("tag", "v0.1.0"), "already tagged"),
        ("0.1.0", lambda it: it.replace("README.md", "cdk", "CDK"), "the checkout has changes"),
        ("0.1.0", lambda it: (it.folder / "new.txt").touch(), "the checkout has changes"),
        ("0.1.0", lambda it: it.replace("CHANGELOG.md", "(unreleased)", "(2026-01-01)"), 'expected "## 0.1.0 (unre'),
    ],
    ids=["not a version", "another version", "made twice", "changed file", "new file", "released by the changelog"],
)
def test_refuses_an_invalid_release(maintainer: Maintainer, version: str, prepare: object, said: str) -> None:
    assert callable(prepare)
    prepare(maintainer)
    before = maintainer.state()

    done = maintainer.release(version)

    assert done.returncode == 1
    assert said in done.stdout
    assert (maintainer.state(), maintainer.made()) == (before, [])


def begin_the_next_version(maintainer: Maintainer, answer: str) -> None:
    """Begin the next version, as after a release of the checkout."""
    maintainer.git("tag", "v0.1.0")
    maintainer.replace("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"')
    maintainer.replace("CHANGELOG.md", "## 0.1.0 ", NEXT.format(answer=answer) + "## 0.1.0 ")


def test_says_that_an_upgrade_redeploys_no_image(maintainer: Maintainer) -> None:
    begin_the_next_version(maintainer, "No.")
    maintainer.replace("lambda_handler/clock.py", "\n", "\n\n")
    maintainer.commit("the next version")

    done = maintainer.release("0.2.0")

    assert done.returncode == 0, done.stdout
    assert "compared with 0.1.0, no image gets an Update" in done.stdout
    assert "the function is updated in place, which touches no image" in done.stdout
    assert "tests/contract/released/0.2.0/digest.json" in maintainer.git("diff", "--name-only", "HEAD~1")
    assert maintainer.git("tag", "--list", "--format=%(contents)", "v0.2.0").startswith(
        "0.2.0\n\n**Will this redeploy my images?** No."
    )


def test_refuses_a_changelog_that_contradicts_the_records(maintainer: Maintainer) -> None:
    begin_the_next_version(maintainer, "No.")
    maintainer.replace(
        "cdk_ecrpublic/constructs/public_image.py",
        "SERVICE_TIMEOUT = Duration.seconds(300)",
        "SERVICE_TIMEOUT = Duration.seconds(301)",
    )
    maintainer.commit("another time-out")
    before = maintainer.state()

    done = maintainer.release("0.2.0")

    assert done.returncode == 1
    assert 'CHANGELOG.md answers "No.", but:' in done.stdout
    assert "images that are declared like these get an Update: digest, " in done.stdout
    assert "registry," not in done.stdout, "copies have a separate timeout"
    assert maintainer.state() == before


def test_never_rewrites_the_records_of_a_release(maintainer: Maintainer) -> None:
    maintainer.git("tag", "v0.1.0")

    done = maintainer.record("0.1.0")

    assert done.returncode == 1
    assert "0.1.0 is released: what it recorded never changes" in done.stdout
