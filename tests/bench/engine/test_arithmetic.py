"""TF32 and deterministic operations as a spec says them, whatever ran in the process before."""

from __future__ import annotations

import os

import pytest
import torch
from five_steps import run_data, spec_of
from step_cases import SMALL_AST, case

from bench.core.errors import RunError, SpecError
from bench.engine import arithmetic, compilation
from bench.engine.arithmetic import flash_attention_fits, set_arithmetic
from bench.engine.compilation import compile_blocks, pays
from bench.engine.gradients import Gradients
from bench.engine.graph import build_graph
from bench.engine.trainer import Trainer

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def small_spec(method="ce", model=("ast", {**SMALL_AST, "depth": 3}), **fields):
    return spec_of({**case(*model, method), "fields": {"time_shift": False, **fields}})


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a test sets in torch and in the environment is undone."""
    monkeypatch.delenv(arithmetic.WORKSPACE, raising=False)
    yield
    os.environ.pop(arithmetic.WORKSPACE, None)
    set_arithmetic(small_spec())


@pytest.mark.parametrize(
    ("tf32", "products", "convolutions"),
    [("convolutions", False, True), ("none", False, False), ("all", True, True)],
)
def test_tf32_is_what_the_spec_says(tf32, products, convolutions):
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = not products, not convolutions
    spec = small_spec(tf32=tf32)
    set_arithmetic(spec)
    assert torch.backends.cuda.matmul.allow_tf32 is products
    assert torch.backends.cudnn.allow_tf32 is convolutions
    assert (spec.run_id == small_spec().run_id) is (tf32 == "convolutions")


def test_a_run_is_deterministic_where_its_spec_says_so_and_not_where_the_one_before_did():
    spec = small_spec(deterministic=True)
    set_arithmetic(spec)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.deterministic
    assert os.environ[arithmetic.WORKSPACE] == arithmetic.FIXED_WORKSPACE
    assert spec.run_id == small_spec().run_id
    set_arithmetic(small_spec())
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


def test_two_deterministic_runs_are_equal_to_the_bit(tmp_path):
    found = []
    for name in ("one", "two"):
        trainer = Trainer(small_spec("patchmix-cl", deterministic=True), run_data(), tmp_path / name)
        epochs = trainer.fit().position.epochs
        found.append(([entry["loss"] for entry in epochs], trainer.model.state_dict()))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(found[1][1][key], value) for key, value in found[0][1].items())


def test_an_operation_without_a_deterministic_form_is_told():
    def graph(*unused):
        raise RuntimeError(
            "upsample_x does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True)'. You can turn off determinism\nor file an issue"
        )

    trained = Gradients(graph, bare=build_graph(small_spec()), accelerator=None)
    with pytest.raises(RunError) as caught:
        trained.compute(None, None)
    assert "upsample_x does not have a deterministic implementation" in caught.value.message
    assert "deterministic=false" in caught.value.hint


@pytest.mark.parametrize(("device", "precision"), [(CPU, "bf16"), (GPU, "fp32")])
def test_no_flash_attention_on_a_cpu_or_in_fp32(device, precision):
    assert not flash_attention_fits(device, precision)


def test_short_runs_are_not_compiled_by_themselves_and_none_on_a_cpu():
    assert pays(50 * 517, GPU)
    assert not pays(50 * 64, GPU)
    assert not pays(10**6, CPU)


@pytest.mark.parametrize("fields", [{"micro_batch": 2}, {"checkpointing": True}, {"processes": 2}])
def test_compiling_what_changes_how_blocks_are_called_is_refused(fields):
    graph = build_graph(small_spec())
    with pytest.raises(SpecError, match="several processes, micro-batches or checkpointing"):
        compile_blocks(graph.model, small_spec(compile="on", **fields), 10, CPU)
    assert not compile_blocks(graph.model, small_spec(**fields), 10**6, GPU)


def test_a_model_without_blocks_and_a_machine_without_a_compiler_are_refused(monkeypatch):
    graph = build_graph(small_spec(model=("cnn6", {})))
    monkeypatch.setattr(type(graph.model), "checkpoint_blocks", lambda self: (), raising=False)
    with pytest.raises(SpecError, match="cnn6 does not name its blocks"):
        compile_blocks(graph.model, small_spec(model=("cnn6", {}), compile="on"), 10, CPU)
    monkeypatch.setattr(compilation.shutil, "which", lambda name: None)
    with pytest.raises(SpecError, match=r"no c\+\+ or g\+\+ or clang\+\+"):
        compile_blocks(build_graph(small_spec()).model, small_spec(compile="on"), 10, CPU)


def trained(folder, **fields):
    trainer = Trainer(small_spec("patchmix-cl", **fields), run_data(), folder)
    epochs = trainer.fit().position.epochs
    return epochs[0]["loss"], trainer.model.state_dict()


def compare(one, other, tolerance):
    assert abs(one[0] - other[0]) < tolerance
    assert one[1].keys() == other[1].keys()
    assert max((other[1][key] - value).abs().max() for key, value in one[1].items()) < tolerance


def test_blocks_are_compiled_once_for_all_and_only_for_training(tmp_path, monkeypatch):
    # Without kernels of its own: torch finds the graphs of the blocks and computes them as they are.
    graphs = []

    def counted(graph, inputs):
        graphs.append(graph)
        return graph.forward

    plain = torch.compile
    monkeypatch.setattr(compilation.torch, "compile", lambda call, **how: plain(call, backend=counted, **how))
    torch._dynamo.reset()
    compare(trained(tmp_path / "off"), trained(tmp_path / "on", compile="on"), 1e-7)
    # One for both blocks that are called: clean and mixed clips are one pass.
    assert len(graphs) == 1
    torch._dynamo.reset()


@pytest.mark.slow
def test_compiled_blocks_train_alike(tmp_path, monkeypatch):
    if not os.environ.get("BENCH_TEST_COMPILER"):
        pytest.skip("takes a C++ compiler a minute: BENCH_TEST_COMPILER=1 has it run")
    if compilation._hindrance(build_graph(small_spec()).model, small_spec(), CPU):
        pytest.skip("needs a C++ compiler, by which torch makes kernels for a CPU")
    monkeypatch.setenv(compilation.KERNELS, str(tmp_path / "kernels"))
    torch._dynamo.reset()
    compare(trained(tmp_path / "off"), trained(tmp_path / "on", compile="on"), 1e-4)
    assert any((tmp_path / "kernels").rglob("*.so"))
    torch._dynamo.reset()
