"""Makes niivue.umd.js again: the file of that name in NiiVue's npm package, byte for byte.

python Resources/Viewer/fetch_niivue.py          needs npm; without a change of the numbers below nothing changes
"""

import base64
import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "0.50.0"
"""The last 0.x whose build has no Zarr codecs (they would triple its size)."""
INTEGRITY = "6tHqajlC1KuJ2y4GyG960Xwp8Q0ygSjN+CJGQxoYiKOiT2lIziuAsPsdEsvay/pwTIuYTznZlSVZUT9TEFr2kg=="
"""SHA-512 of the package, as npm states it."""
FILE = "niivue.umd.js"
FILE_SHA256 = "cf6c3e49a4f102ada570c3dbc8d6cd323004290be1a395518cf04756ce7fe3ee"
"""Of the file as it lies here."""


def main() -> None:
    """Fetch, check, write."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", f"@niivue/niivue@{VERSION}"], cwd=folder, check=True)
        package = next(Path(folder).glob("*.tgz"))
        found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise SystemExit(f"{package.name}: its SHA-512 is {found}, not {INTEGRITY}; nothing was written")
        with tarfile.open(package) as archive:
            content = archive.extractfile(f"package/dist/{FILE}").read()
    if hashlib.sha256(content).hexdigest() != FILE_SHA256:
        raise SystemExit(f"{FILE}: is not the file that FILE_SHA256 names; nothing was written")
    (Path(__file__).parent / FILE).write_bytes(content)


if __name__ == "__main__":
    main()
