"""A package that a user installs over one of the image's can be imported, by uv and by pip, without a network."""

import pathlib
import subprocess
import sys
import tempfile
import zipfile


def make_wheel(folder: pathlib.Path) -> pathlib.Path:
    wheel = folder / "addedbyuser-7-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("addedbyuser.py", "VALUE = 7\n")
        info = "addedbyuser-7.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: addedbyuser\nVersion: 7\n")
        tags = "Root-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\n{tags}")
        archive.writestr(f"{info}/RECORD", f"addedbyuser.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return wheel


with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    wheel = make_wheel(folder)
    # Into folders of their own: the image itself may be mounted read-only. writable.sh looks at its permissions.
    for installer in (["uv", "pip"], [sys.executable, "-m", "pip"]):
        target = folder / pathlib.Path(installer[0]).name
        subprocess.run([*installer, "install", "--quiet", "--no-index", f"--target={target}", str(wheel)], check=True)
        sys.path.insert(0, str(target))
        import addedbyuser

        print("added", addedbyuser.VALUE, addedbyuser.__file__)
        sys.path.pop(0)
        del sys.modules["addedbyuser"]
