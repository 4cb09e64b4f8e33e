"""No private name of another library is used: what begins with an underscore may go without notice."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "baselines", "methods", "leaderboard")

DOCUMENTED = {
    "os._exit": "public in spite of its name (the standard library's manual, os)",
    "._replace": "public in spite of its name (the manual, collections.namedtuple)",
    "._asdict": "public in spite of its name (the manual, collections.namedtuple)",
    "_typeshed": "the types of the standard library; read by mypy alone",
}
"""Names that begin with an underscore and are public, with where that is said."""

BOUNDED = {
    "torch.utils._python_dispatch": (
        "torch",
        "TorchDispatchMode has no other home, and nothing else sees which operators draw random numbers",
    ),
    "torch._inductor": (
        "torch",
        "where compiled kernels are kept has no public name but a variable that torch sets itself",
    ),
    "torch._dynamo": ("torch", "how many forms of a block may be compiled has no other name in all versions"),
    "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu": (
        "torch",
        "what is public does not give the logarithmic sums, from which the backward pass is computed",
    ),
    "torch.ops.mkldnn._linear_pointwise": ("torch", "what is public adds the bias in a pass of its own"),
    "torch.ops.mkldnn._is_mkldnn_bf16_supported": ("torch", "whether the operator above can be used"),
    "AcceleratorState._reset_state": (
        "accelerate",
        "measurements compare precisions in one process, and the first one would stay",
    ),
    "slurm._make_sbatch_string": (
        "submitit",
        "what is public submits pickled functions at once; nothing else makes the script, which --dry-run prints",
    ),
}
"""Private names without a public way: the library whose versions are bounded above in pyproject, and the reason."""


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def own_names(tree):
    """Private names that a module defines itself: functions, classes, variables, attributes of ``self``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            found.add(node.attr)
    return found


def _is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def used_names(node):
    """Dotted names that a node takes from elsewhere, as far as they are private."""
    if isinstance(node, ast.Attribute) and is_private(node.attr) and not _is_self(node.value):
        return [ast.unparse(node)]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr", "delattr"):
        words = [word.value for word in node.args[1:2] if isinstance(word, ast.Constant)]
        return [f"{ast.unparse(node.args[0])}.{word}" for word in words if is_private(str(word))]
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if any(map(is_private, alias.name.split(".")))]
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name for name in names if any(map(is_private, name.split(".")))]
    return []


def foreign_private_names(source):
    tree = ast.parse(source)
    own = own_names(tree)
    found = [name for node in ast.walk(tree) for name in used_names(node)]
    return [name for name in found if name.rpartition(".")[2] not in own]


def is_declared(name):
    return any(name.endswith(known) or name.startswith(f"{known}.") for known in (*DOCUMENTED, *BOUNDED))


def sources():
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(files) > 150
    return files


def test_private_names_of_other_libraries_are_not_used():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources()
        for name in foreign_private_names(path.read_text(encoding="utf-8"))
        if not is_declared(name)
    ]
    assert found == []


@pytest.mark.parametrize("name", [*DOCUMENTED, *BOUNDED])
def test_what_is_declared_is_used(name):
    assert any(name.removeprefix(".") in path.read_text(encoding="utf-8") for path in sources())


@pytest.mark.parametrize("name", BOUNDED)
def test_a_library_whose_private_names_are_used_is_bounded(name):
    library, reason = BOUNDED[name]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [project["dependencies"], *project["optional-dependencies"].values()]
    (line,) = [line for lines in wanted for line in lines if line.startswith(f"{library}>")]
    assert "<" in line, f"{name}: {reason}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("study._storage.get_trial(1)", ["study._storage"]),
        ("from optuna.study._frozen import FrozenStudy", ["optuna.study._frozen.FrozenStudy"]),
        ("from torch.nn.modules.batchnorm import _BatchNorm", ["torch.nn.modules.batchnorm._BatchNorm"]),
        ("import numpy._core.multiarray", ["numpy._core.multiarray"]),
        ("getattr(trial, '_trial_id')", ["trial._trial_id"]),
        ("torch._C._get()", ["torch._C._get", "torch._C"]),
        ("class A:\n    def b(self, other): self._c = other._c", []),
        ("self._here; cls._there; x.__dict__", []),
    ],
)
def test_the_scan_sees_private_names(source, found):
    assert foreign_private_names(source) == found
