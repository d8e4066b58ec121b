"""The same bytes on every machine: a processor of 2008 must render what this one does."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

OLD_PROCESSOR = {  # every library here picks its code by the processor; these tell them it has none of the newer units
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX2 FMA3",
    "OPENBLAS_CORETYPE": "Nehalem",
    "ATEN_CPU_CAPABILITY": "default",
    "NUMBA_CPU_NAME": "x86-64",
    "NUMBA_CPU_FEATURES": "",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
    "OPENCV_CPU_DISABLE": "AVX2,FMA3,AVX512F",
}


def rendered(out: Path, environment: dict[str, str]) -> dict[str, str]:
    command = [sys.executable, "-m", "egorear.cli.main", "synth", "--out", str(out), "--size", "64", "--frames", "16"]
    command += ["--take-frames", "2", "--split", "test", "--layout", "rw", "--shaken"]
    command += [option for kind in ("depth", "segmentation", "normals") for option in ("--truth", kind)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_an_old_processor_renders_the_same_bytes(tmp_path):
    here = rendered(tmp_path / "here", {})
    there = rendered(tmp_path / "there", {**OLD_PROCESSOR, "NUMBA_CACHE_DIR": str(tmp_path / "cache")})
    assert here == there
    assert len(here) > 16 * 4 * 5
