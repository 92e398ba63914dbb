#!/usr/bin/env bash
# All that a machine with a GPU is to be asked, in parts of at most ten minutes each:
#
#     bash benchmarks/gpu.sh facts     OUT     the card, what is installed, one tensor            (1 minute)
#     bash benchmarks/gpu.sh smoke     OUT     kernels, transfers, graphs, one model              (3 minutes)
#     bash benchmarks/gpu.sh tests     OUT     the whole suite on CuPy                            (9 minutes)
#     bash benchmarks/gpu.sh benchmark OUT     beside PyTorch: results.json and gpu.md            (8 minutes)
#     bash benchmarks/gpu.sh loading   OUT     AlexNet at 227x227 from a folder of JPEGs          (2 minutes)
#
# Needs Python with CuPy and, for tests and benchmark, PyTorch (with CUDA for the benchmark), pytest, pytest-xdist,
# hypothesis, scipy, pillow, rich, safetensors and matplotlib; `facts` says what is missing. minidl itself is taken from
# this folder and need not be installed. To keep: OUT/results.json, and OUT/gpu.md as benchmarks/gpu.md.
set -u -o pipefail
part=${1:?facts, smoke, tests, benchmark or loading}
out=${2:?a folder for what comes out}
cd "$(dirname "$0")/.." || exit 1
mkdir -p "$out"
export PYTHONPATH="$PWD" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export CUPY_CACHE_DIR=${CUPY_CACHE_DIR:-/tmp/cupy_cache} # kernels compiled by one process serve the others
export OPENBLAS_NUM_THREADS=2 OMP_NUM_THREADS=2
python=${PYTHON:-python3}

run_tests() { # seconds, then what to run; warnings do not fail a first run on a new machine, they are listed
    local seconds=$1
    shift
    # An interrupt, as by Ctrl-C: pytest then tells what has failed so far.
    timeout -s INT -k 20 "$seconds" "$python" -m pytest --backend cupy -q -p no:cacheprovider -W default --durations=25 "$@"
}

case $part in
facts)
    {
        nvidia-smi
        "$python" - <<'PYTHON'
import importlib, sys
print(sys.version)
for name in ("numpy", "cupy", "torch", "pytest", "xdist", "hypothesis", "scipy", "PIL", "rich", "safetensors", "matplotlib", "threadpoolctl"):
    try:
        print(name, getattr(importlib.import_module(name), "__version__", "is there"))
    except Exception as error:
        print(name, "MISSING:", type(error).__name__, str(error).splitlines()[:1])
import cupy
cupy.show_config()
import minidl as md
md.use("cupy")
x = md.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
(x @ x).sum().backward()
print(x.grad)
try:
    import torch
    print("PyTorch sees a GPU:", torch.cuda.is_available(), "cuDNN", torch.backends.cudnn.version())
except ImportError:
    print("no PyTorch: the benchmark cannot run, and the tests compare with nothing")
PYTHON
    } 2>&1 | tee "$out/facts.txt"
    ;;
smoke)
    run_tests 200 --tb=short tests/backend tests/test_busy.py tests/test_devices.py tests/fast/graph \
        tests/fast/gpu/test_same_on_gpu.py 2>&1 | tee "$out/smoke.txt"
    ;;
tests)
    cores=$(nproc)
    workers=(-n $((cores > 3 ? cores - 2 : 1)) --dist worksteal)
    "$python" -c "import xdist" 2>/dev/null || workers=()
    run_tests 560 --tb=short "${workers[@]}" tests 2>&1 | tee "$out/tests.txt"
    ;;
benchmark)
    "$python" -m benchmarks.gpu --output "$out" --minutes "${MINUTES:-8}" 2>&1 | tee "$out/benchmark.txt"
    ;;
loading)
    images=$(mktemp -d)
    "$python" benchmarks/loading.py --make "$images" &&
        timeout -s INT -k 20 240 "$python" benchmarks/loading.py "$images" --gpu 2>&1 | tee "$out/loading.txt"
    ;;
*)
    echo "unknown part: $part" >&2
    exit 2
    ;;
esac
