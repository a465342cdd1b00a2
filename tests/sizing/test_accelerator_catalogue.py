"""The catalogue of accelerators: complete, plausible, with sources."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from heterollm_controllers.sizing.accelerators import Gpu, accelerator, accelerator_names


def gpu(name: str) -> Gpu:
    found = accelerator(name)
    assert found is not None
    return found


def test_the_names_that_specs_use() -> None:
    """Names of the first API version stay; two kinds of A100 and of H100 differ in memory."""
    expected = {"A10", "L4", "L40S", "A100-40GB", "A100-80GB", "H100", "H100-NVL", "H20", "H200", "B200", "MI300X"}
    assert expected <= set(accelerator_names())
    assert list(accelerator_names()) == sorted(accelerator_names())
    assert accelerator("A100") is None


@pytest.mark.parametrize(
    ("name", "mib"),
    [
        ("A10", 23028), ("L4", 23034), ("L40S", 46068), ("A100-40GB", 40960), ("A100-80GB", 81920), ("H100", 81559),
        ("H100-NVL", 95830), ("H20", 97871), ("H200", 143771), ("B200", 183359), ("B300", 275040), ("MI300X", 196592),
    ],
)  # fmt: skip
def test_memory_is_what_the_driver_reports(name: str, mib: int) -> None:
    assert gpu(name).memory_mib == mib


@pytest.mark.parametrize("name", accelerator_names())
def test_figures_are_plausible(name: str) -> None:
    """A figure with sparsity, for both directions, or in the wrong unit falls out of these ranges."""
    found = gpu(name)
    assert found.name == name
    assert 16 * 1024 < found.memory_mib < 300 * 1024
    assert 300 <= found.bandwidth_gb_s <= 8000
    assert 100 <= found.bf16_tflops <= 2500
    # FP8 units have twice the rate of BF16; Ampere has none.
    ampere = name.startswith(("A10", "A100"))
    assert found.fp8_tflops == (0 if ampere else pytest.approx(2 * found.bf16_tflops, rel=0.02))
    # Operations per byte: below 70 or above 450 is no GPU of these years.
    assert 30 < found.bf16_tflops * 1000 / found.bandwidth_gb_s < 450
    assert 32 <= found.link_gb_s <= 900
    assert 0 < found.network_gb_s <= found.link_gb_s
    assert found.per_node in (4, 8)
    # NVIDIA sells it in China only: no cloud lists a price.
    assert found.dollars_per_hour is None if name == "H20" else 0.5 < (found.dollars_per_hour or 0) < 20
    assert found.vendor == ("amd" if name.startswith("MI") else "nvidia")


def test_the_price_of_the_cost_model() -> None:
    assert gpu("A100-80GB").dollars_per_hour == 4.0


def test_every_figure_has_a_source() -> None:
    text = files("heterollm_controllers.sizing").joinpath("data/accelerators.json").read_text(encoding="utf-8")
    written = json.loads(text)["accelerators"]
    assert set(written) == set(accelerator_names())
    for name, values in written.items():
        assert {key for key, source in values["source"].items() if source} == {"memory", "speed", "wires", "price"}, (
            name
        )
