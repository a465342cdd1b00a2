"""Options: flags, environment, and what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from heterollm_cli import main as cli
from heterollm_controllers.api.installation import Config
from heterollm_operator.process.config import PrometheusSettings, Settings, add_options, from_options


def parse(arguments: str = "", **environ: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_options(parser, environ)
    return from_options(parser.parse_args(arguments.split()))


def test_the_defaults_serve_all_namespaces() -> None:
    settings = parse()
    assert settings.namespaces == ()
    assert (settings.lease_namespace, settings.lease_name) == ("default", "heterollm-operator")
    assert (settings.host, settings.port) == ("", 8080)
    assert (settings.workers, settings.resync, settings.log_level) == (8, 600, "INFO")
    assert settings.prometheus is None
    assert not settings.core.prometheus
    assert settings.core == Config()


def test_every_process_has_an_identity_of_its_own() -> None:
    assert parse().identity != parse().identity


def test_the_environment_sets_and_a_flag_wins() -> None:
    environ = {"HETEROLLM_WORKERS": "3", "HETEROLLM_LISTEN": "127.0.0.1:9", "HETEROLLM_ENGINE_IMAGE": "e:1"}
    settings = parse("--workers 5", **environ)
    assert settings.workers == 5
    assert (settings.host, settings.port) == ("127.0.0.1", 9)
    assert settings.core.engine_image == "e:1"


def test_namespaces_come_from_either_side() -> None:
    assert parse(HETEROLLM_NAMESPACES="a, b,a,").namespaces == ("a", "b")
    assert parse("--namespace c --namespace d", HETEROLLM_NAMESPACES="a").namespaces == ("c", "d")


def test_the_status_page_is_off_unless_asked_for() -> None:
    assert not parse().status_page
    assert parse("--status-page on").status_page
    assert parse("", HETEROLLM_STATUS_PAGE="on").status_page
    assert not parse("--status-page off", HETEROLLM_STATUS_PAGE="on").status_page


def test_where_figures_come_from() -> None:
    environ = {
        "HETEROLLM_PROMETHEUS_URL": "https://monitoring.example.com/prometheus/",
        "HETEROLLM_PROMETHEUS_TOKEN_FILE": "/token",
    }
    found = parse("--poll-seconds 2 --scrape-seconds 7.5", **environ).prometheus
    assert parse("", **environ).core.prometheus
    url = "https://monitoring.example.com/prometheus"
    assert found == PrometheusSettings(url, Path("/token"), None, poll=2, scrape=7.5)


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        ("--listen 8080", {}, "is not HOST:PORT"),
        ("--workers 0", {}, "not more than 0"),
        ("--status-page yes", {}, "'yes' is neither on nor off"),
        ("--resync never", {}, "invalid positive float value"),
        ("--log-level LOUD", {}, "is none of DEBUG, INFO"),
        ("", {"HETEROLLM_LOG_LEVEL": "LOUD"}, "is none of DEBUG, INFO"),
        ("", {"HETEROLLM_WORKERS": "many"}, "invalid positive int value"),
        ("", {"HETEROLLM_RESYNC": "-1"}, "not more than 0"),
        ("--prometheus-url prometheus:9090", {}, "is not http://HOST:PORT/PATH"),
        ("--prometheus-url http://", {}, "is not http://HOST:PORT/PATH"),
        ("--prometheus-url http://a:b@prometheus", {}, "takes no credentials"),
        ("--prometheus-url http://prometheus?a=b", {}, "takes no credentials, no query"),
        ("--prometheus-url http://prometheus:port", {}, "is not http://HOST:PORT/PATH"),
        ("--prometheus-url http://prometheus:99999", {}, "is not http://HOST:PORT/PATH"),
        ("--poll-seconds 0", {}, "not between 1 and 60"),
        ("--scrape-seconds nan", {}, "not between 1 and 60"),
    ],
)
def test_bad_values_are_refused_with_a_reason(
    capsys: pytest.CaptureFixture[str], arguments: str, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(SystemExit):
        parse(arguments, **environ)
    assert message in capsys.readouterr().err


def test_help_names_every_environment_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["operator", "--help"])
    text = capsys.readouterr().out
    for name in ("NAMESPACES", "LEASE_NAMESPACE", "LEASE_NAME", "LISTEN", "WORKERS", "RESYNC", "PROMETHEUS_URL"):
        assert f"HETEROLLM_{name}" in text


def test_version_and_crd_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["version"])
    with pytest.raises(SystemExit, match="0"):
        cli.main(["crd"])
    version, crd = capsys.readouterr().out.split("\n", 1)
    assert version.count(".") == 2
    assert "kind: CustomResourceDefinition" in crd
