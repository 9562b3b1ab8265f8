"""KV capacity, iteration time and energy: reference points, published totals, and what is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kvopt.cli import app
from kvopt.errors import InputError, UnknownNameError
from kvopt.hardware import (
    GPUS,
    ITERATION_TIMES,
    MODELS,
    REFERENCE_POINTS,
    Gpu,
    IterationTime,
    KvCache,
    Model,
    PowerModel,
    find_gpu,
    find_iteration_time,
    find_model,
    read_config,
)
from kvopt.hardware.capacity import DATA_TYPES

#: Parameters in the published checkpoints.
PUBLISHED_PARAMETERS = {
    "Llama-2-7B": 6_738_415_616,
    "Llama-2-13B": 13_015_864_320,
    "Llama-2-70B": 68_976_648_192,
    "Llama-3-8B": 8_030_261_248,
    "Llama-3-70B": 70_553_706_496,
    "Llama-3.1-405B": 405_853_388_800,
    "Llama-3.2-1B": 1_235_814_400,
    "Llama-3.2-3B": 3_212_749_824,
    "CodeLlama-34B": 33_743_970_304,
    "Mistral-7B": 7_241_732_096,
    "Mixtral-8x7B": 46_702_792_704,
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen2.5-72B": 72_706_203_648,
    "Qwen3-8B": 8_190_735_360,
}

LLAMA_3_8B = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "rope_theta": 500000.0,
}


def kvopt(*arguments: str):
    """Run the command line in this process; an InputError is what `main` turns into exit code 2."""
    return CliRunner().invoke(app, list(arguments))


def config_file(folder: Path, **changes) -> str:
    """A config.json with some keys changed, or left out where the change is None."""
    content = {key: value for key, value in {**LLAMA_3_8B, **changes}.items() if value is not None}
    path = folder / "config.json"
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize("name", MODELS)
def test_parameter_counts_are_the_published_ones(name):
    """One wrong size of a model would show in the last digits of its total."""
    assert MODELS[name].parameters == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("point", REFERENCE_POINTS, ids=lambda point: str(point.tokens))
def test_reference_points_are_exact(point):
    """The capacities used in the literature follow from the assumptions stated beside them."""
    assert point.cache.capacity == point.tokens


def test_reference_points_are_the_four_known():
    """A point must not be dropped or changed together with its expected value."""
    assert [point.tokens for point in REFERENCE_POINTS] == [122_752, 137_497, 54_067, 16_492]


def test_fitted_reserve_is_needed():
    """The docs say that 16,492 needs a fitted reserve: without it the same assumptions give 18,453."""
    cache = KvCache(MODELS["Llama-2-70B"], GPUS["A100-80GB"], gpus=2, unit="GB")
    assert cache.capacity == 18_453


@pytest.mark.parametrize(("name", "size"), [("Llama-2-7B", 524_288), ("Llama-2-70B", 327_680), ("Llama-3-8B", 131_072)])
def test_bytes_per_token(name, size):
    """Known sizes of a cached token in fp16."""
    assert KvCache(MODELS[name], GPUS["A100-80GB"]).token_bytes == size


def test_more_gpus_than_kv_heads_copies_heads():
    """With 16 GPUs and 8 KV heads each head is held twice, so a token takes twice the room."""
    model, gpu = MODELS["Llama-2-70B"], GPUS["A100-80GB"]
    assert KvCache(model, gpu, gpus=16).token_bytes == 2 * KvCache(model, gpu, gpus=8).token_bytes


def test_quantised_cache_and_blocks():
    """An fp8 cache holds twice the tokens (up to rounding); blocks round down."""
    half = KvCache(MODELS["Llama-3-8B"], GPUS["L40S"])
    full = KvCache(MODELS["Llama-3-8B"], GPUS["L40S"], cache_type="fp8")
    paged = KvCache(MODELS["Llama-3-8B"], GPUS["L40S"], block=16)
    assert full.capacity - 2 * half.capacity in (0, 1)
    assert paged.capacity == half.capacity // 16 * 16


@given(
    memory=st.integers(1, 200),
    fraction=st.fractions(Fraction(1, 100), 1),
    reserve=st.integers(0, 10**9),
    block=st.sampled_from([1, 16, 32]),
)
def test_capacity_is_the_largest_that_fits(memory, fraction, reserve, block):
    """Rounding is exact: the capacity fits and one block more does not."""
    cache = KvCache(MODELS["Llama-3.2-1B"], Gpu("own", memory), fraction=fraction, reserve_bytes=reserve, block=block)
    if cache.free_bytes < block * cache.token_bytes:
        with pytest.raises(InputError, match="does not fit"):
            _ = cache.capacity
        return
    assert cache.capacity * cache.token_bytes <= cache.free_bytes < (cache.capacity + block) * cache.token_bytes


def test_weights_that_do_not_fit_are_refused_with_figures():
    """A 70B model on one 40 GB card is a user's error, not a capacity of 0."""
    with pytest.raises(InputError, match=r"weights 137\.95 GB .* 38\.65 GB"):
        _ = KvCache(MODELS["Llama-2-70B"], GPUS["A100-40GB"]).capacity


@pytest.mark.parametrize(
    "change",
    [
        {"fraction": Fraction(0)},
        {"fraction": Fraction(11, 10)},
        {"gpus": 0},
        {"block": 0},
        {"reserve_bytes": -1},
        {"weight_type": "fp17"},
        {"cache_type": "half"},
        {"unit": "Gb"},
        {"count": "most"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_bad_figures_are_refused(change):
    """Each option has a range."""
    with pytest.raises(InputError):
        KvCache(MODELS["Llama-2-7B"], GPUS["A100-80GB"], **change)


@pytest.mark.parametrize("figures", [(0, 1, 1, 1), (1, 1.0, 1, 1), (1, 1, True, 1), (1, 1, 1, -7)])
def test_bad_models_are_refused(figures):
    """A model without layers, or with half a head, would have a capacity that means nothing."""
    with pytest.raises(InputError, match="must be an integer of at least 1"):
        Model("own", *figures)


def test_layers_cannot_be_counted_from_a_total():
    """A model given by its total alone has no layer weights to count."""
    with pytest.raises(InputError, match="only its total"):
        KvCache(Model("own", 1, 1, 1, 1), GPUS["T4"], count="layers")


@pytest.mark.parametrize("find", [find_model, find_gpu, find_iteration_time])
def test_unknown_names_list_the_known(find):
    """The message must help to find the right spelling."""
    with pytest.raises(UnknownNameError, match="; known: "):
        find("gpt-17")


def test_names_ignore_case():
    """`llama-2-7b` and `Llama-2-7B` are the same model."""
    assert find_model("llama-2-7b") is MODELS["Llama-2-7B"]
    assert find_gpu("a100-80gb") is GPUS["A100-80GB"]


def test_config_gives_the_listed_model(tmp_path):
    """Counting from a config.json finds the same figures as the list, and the data type."""
    model, stated = read_config(config_file(tmp_path))
    assert (model.parameters, model.layers, model.kv_heads, model.head_size) == (8_030_261_248, 32, 8, 128)
    assert stated == "bf16"


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({"tie_word_embeddings": True}, 8_030_261_248 - 128256 * 4096),
        ({"num_key_value_heads": None}, 8_030_261_248 + 32 * 2 * 4096 * (4096 - 1024)),
        ({"attention_bias": True}, 8_030_261_248 + 32 * (4096 + 2048 + 4096)),
        ({"mlp_bias": True}, 8_030_261_248 + 32 * (2 * 14336 + 4096)),
        ({"head_dim": 64}, 8_030_261_248 - 32 * 4096 * (4096 + 1024)),
    ],
    ids=["tied", "no grouping", "attention bias", "mlp bias", "head size"],
)
def test_config_options_change_the_count(tmp_path, changes, parameters):
    """Each key of a config moves the total by a known amount."""
    assert read_config(config_file(tmp_path, **changes))[0].parameters == parameters


def test_gemma_shares_embeddings_by_default(tmp_path):
    """Gemma-7B's published total comes out although its config does not mention tied embeddings."""
    sizes = {"num_hidden_layers": 28, "hidden_size": 3072, "intermediate_size": 24576, "num_attention_heads": 16}
    more = {"num_key_value_heads": 16, "head_dim": 256, "vocab_size": 256000, "tie_word_embeddings": None}
    assert read_config(config_file(tmp_path, model_type="gemma", **sizes, **more))[0].parameters == 8_537_680_896


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": "4096"}, "hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"model_type": "deepseek_v3"}, "layout of its own"),
        (
            {"model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_hidden_layers": 61},
            "multi-head latent attention .* 576 numbers .* --layers 61 --kv-heads 1 --head-size 288 --parameters",
        ),
        ({"model_type": "deepseek_v3", "kv_lora_rank": "512"}, "layout of its own"),
        ({"model_type": "gemma3", "text_config": {"num_hidden_layers": 3}}, r"\$.text_config"),
        ({"model_type": ["llama"]}, r"\$.model_type: \['llama'\]"),
        ({"model_type": None}, r"\$: the key 'model_type' is missing"),
        ({"hidden_size": None, "vocab_size": None}, r"\$: the keys 'hidden_size', 'vocab_size' are missing"),
        ({"num_attention_heads": 30}, r"\$.head_dim: missing, and hidden_size 4096 is not a multiple"),
        ({"num_key_value_heads": 5}, r"\$.num_key_value_heads: 5 .* 32"),
        ({"num_key_value_heads": 64}, r"\$.num_key_value_heads: 64 .* 32"),
        ({"head_dim": 0}, r"\$.head_dim: must be at least 1"),
    ],
)
def test_bad_configs_are_refused(tmp_path, changes, message):
    """The error names file and key."""
    path = config_file(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_config(path)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("quantised", "stated"),
    [
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "awq", "bits": 8}, "int8"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({}, "quantised"),
    ],
)
def test_quantised_weights_do_not_pass_for_16_bits(tmp_path, quantised, stated):
    """``torch_dtype`` is that of the activations then; a method of unknown width must be told with --weights."""
    path = config_file(tmp_path, quantization_config=quantised)
    assert read_config(path)[1] == stated
    if stated not in DATA_TYPES:
        refused = kvopt("capacity", "--config", path).exception
        assert isinstance(refused, InputError)
        assert f"unknown data type '{stated}'; known: fp32" in str(refused)
    assert kvopt("capacity", "--config", path, "--weights", "int4").exit_code == 0


def test_explicit_nulls_are_absent_keys(tmp_path):
    """Configs write null for what they do not use: then every head has keys and values of its own."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LLAMA_3_8B, "num_key_value_heads": None, "head_dim": None}))
    assert (read_config(path)[0].kv_heads, read_config(path)[0].head_size) == (32, 128)


def test_config_that_is_not_json(tmp_path):
    """A wrong file is named, without a traceback."""
    path = tmp_path / "config.json"
    path.write_text("layers: 3")
    with pytest.raises(InputError, match="not valid JSON"):
        read_config(path)


def test_command_prints_the_capacity_and_every_assumption():
    """The number stands alone on standard output; what it rests on goes to standard error."""
    done = kvopt("capacity", "--model", "Llama-2-7B", "--gpu", "A100-80GB", "--count", "layers")
    assert done.exit_code == 0
    assert done.stdout == "122752\n"
    for word in ("85,899,345,920", "0.9", "6,476,005,376", "fp16", "524,288", "reserve"):
        assert word in done.stderr


def test_command_json_and_fraction_are_exact():
    """0.99 is 99/100, not the nearest float."""
    done = kvopt("capacity", "--model", "Llama-2-7B", "--count", "layers", "--fraction", "0.99", "--json")
    answer = json.loads(done.stdout)
    assert (answer["capacity"], answer["fraction"]) == (137_497, "99/100")


def test_command_takes_own_figures(tmp_path):
    """A model by its own figures, on a GPU by its own memory, equals the listed pair."""
    figures = ["--layers", "32", "--kv-heads", "8", "--head-size", "128", "--parameters", "8030261248"]
    own = kvopt("capacity", *figures, "--gpu-memory", "48")
    listed = kvopt("capacity", "--model", "Llama-3-8B", "--gpu", "L40S")
    read = kvopt("capacity", "--config", config_file(tmp_path), "--gpu", "L40S")
    assert own.stdout == listed.stdout == read.stdout != ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model", "Llama-2-7B", "--layers", "3"],
        ["--layers", "3"],
        ["--model", "Llama-2-7B", "--fraction", "most"],
        ["--model", "Llama-2-7B", "--gpu", "A100"],
    ],
    ids=["no model", "two models", "half a model", "fraction", "gpu"],
)
def test_command_refuses(arguments):
    """Contradictory or incomplete options are input errors."""
    assert isinstance(kvopt("capacity", *arguments).exception, InputError)


def test_command_shows_the_reference_points():
    """The table that the documentation quotes."""
    done = kvopt("capacity", "--references")
    for tokens in ("122,752", "137,497", "54,067", "16,492"):
        assert f"{tokens} (published {tokens})" in done.stdout


def test_calibrated_preset_matches_the_published_overload():
    """A batch of 493 prompt tokens and 19 decodes takes 44.6 ms by the fit and about 40.6 ms calibrated."""
    kv = 19 * 522
    assert find_iteration_time("llama-2-7b-a100").time_ms(493, 19, kv) == pytest.approx(44.6, abs=0.2)
    assert find_iteration_time("llama-2-7b-a100-chunk-512").time_ms(493, 19, kv) == pytest.approx(40.6, abs=0.2)


def test_mean_context_form_is_the_same_line():
    """(0.0027 * mean context + 0.52) * batch + 44.6 + 0.378 * prompt tokens, at a batch of 10."""
    preset = find_iteration_time("llama-2-70b-2502.07115")
    assert preset.time_ms(100, 10, 10 * 300) == pytest.approx((0.0027 * 300 + 0.52) * 10 + 44.6 + 0.378 * 100)


@pytest.mark.parametrize("name", ITERATION_TIMES)
def test_fit_recovers_each_preset(name):
    """A least-squares fit to exact samples gives the coefficients back."""
    preset, draw = ITERATION_TIMES[name], np.random.default_rng(1)
    prompt, decode = draw.integers(0, 500, 40), draw.integers(1, 128, 40)
    kv = decode * draw.integers(10, 2000, 40)
    found = IterationTime.fit(prompt, decode, kv, preset.time_ms(prompt, decode, kv))
    assert (found.d0_ms, found.prefill_ms, found.decode_ms, found.kv_ms) == pytest.approx(
        (preset.d0_ms, preset.prefill_ms, preset.decode_ms, preset.kv_ms)
    )


def test_fit_has_no_negative_coefficient():
    """Noise must not make memory speed an iteration up."""
    prompt, decode = np.array([0, 1, 2, 3, 4]), np.array([1, 1, 2, 2, 3])
    found = IterationTime.fit(prompt, decode, np.array([5, 4, 3, 2, 1]), np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert min(found.d0_ms, found.prefill_ms, found.decode_ms, found.kv_ms) >= 0


def test_fit_needs_samples():
    """Four coefficients cannot come from three iterations."""
    with pytest.raises(InputError):
        IterationTime.fit([1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3])


@pytest.mark.parametrize("values", [(-1, 0, 0, 0), (0, 0, 0, 0), (float("nan"), 1, 1, 1), (1, float("inf"), 1, 1)])
def test_bad_coefficients_are_refused(values):
    """An iteration that takes no or negative time would stop the clock."""
    with pytest.raises(InputError):
        IterationTime(*values)


def test_energy_is_between_idle_and_busy():
    """Utilisation 0 and 1 give the two limits, and energies add up over iterations."""
    power, time = PowerModel(60, 400), find_iteration_time("llama-2-7b-a100")
    assert power.energy_j(3, 0) == 180
    assert power.energy_j(3, 1) == 1200
    millis = time.time_ms(np.array([0, 400]), np.array([10, 10]), np.array([5000, 5000]))
    used = time.utilisation(millis)
    parts = [power.energy_j(t / 1000, u) for t, u in zip(millis, used, strict=True)]
    assert power.energy_j(millis / 1000, used) == pytest.approx(sum(parts))


@pytest.mark.parametrize(("seconds", "used"), [(-1, 0.5), (1, 1.5), (1, float("nan"))])
def test_energy_refuses_nonsense(seconds, used):
    """Negative time or utilisation above 1 is an error of the caller."""
    with pytest.raises(InputError):
        PowerModel(60, 400).energy_j(seconds, used)


def test_power_limits_are_ordered():
    """A busy GPU draws at least its idle power."""
    with pytest.raises(InputError):
        PowerModel(500, 400)
