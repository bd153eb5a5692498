"""Structure files: from where they are, or from the PDB over HTTPS, checked before they are used."""

from __future__ import annotations

import hashlib
import http.client
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from platformdirs import user_cache_path

from cryobench.data.molecules.structures import read_bytes
from cryobench.errors import InputError
from cryobench.files import replacing

SOURCE = "https://files.rcsb.org/download"
TIMEOUT = 30  # seconds without a byte
SUFFIXES = (".cif", ".cif.gz", ".pdb", ".pdb.gz", ".ent")
PDB_ID = re.compile(r"[0-9][A-Za-z0-9]{3}|pdb_[0-9A-Za-z]{8}")


def content_sha256(path: Path) -> str:
    """sha256 of a structure file's content, unpacked if it is a .gz, as hex digits."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def find_structure(
    name: str | Path, data_dir: str | Path | None = None, source: str = SOURCE, sha256: str | None = None
) -> Path:
    """The file of a structure: `name` is a path, or a PDB id that is looked for in `data_dir` and else downloaded.

    A download goes into `data_dir`, or into the user's cache folder where that can't be written to; its sha256 is noted
    beside it and checked whenever it is used again. sha256: what the content must have, if known.
    Raises InputError: no such file, no network, another content than noted or known.
    """
    if Path(name).expanduser().is_file():
        path = Path(name).expanduser()
    elif PDB_ID.fullmatch(str(name)):
        folders = [Path(data_dir).expanduser()] if data_dir else []
        folders.append(user_cache_path("cryobench") / "structures")
        path = _look_for(str(name), folders) or _download(str(name), folders, source, sha256)
    else:
        raise InputError(f"expected a PDB id or the path of a .cif or .pdb file, got {name}, which does not exist")
    _check(path, sha256)
    return path


def given_by_path(*names: str) -> list[Path]:
    """Those of these structures that are files of the user's own, not entries of the PDB."""
    return [Path(name).expanduser() for name in names if Path(name).expanduser().is_file()]


def _look_for(name: str, folders: list[Path]) -> Path | None:
    wanted = {(name + suffix).lower() for suffix in SUFFIXES}
    for folder in folders:
        files = sorted(p for p in folder.glob("*") if p.name.lower() in wanted) if folder.is_dir() else []
        if files:
            return files[0]
    return None


def _check(path: Path, sha256: str | None) -> None:
    note = path.with_name(path.name + ".sha256")
    expected = sha256 or (note.read_text().split()[0] if note.is_file() and note.read_text().strip() else None)
    if expected and content_sha256(path) != expected.lower():
        where = "the configuration" if sha256 else note
        raise InputError(
            f"expected sha256 {expected[:12]}… for {path} (from {where}), got "
            f"{content_sha256(path)[:12]}…; remove the file, so that it is fetched again"
        )


def _download(name: str, folders: list[Path], source: str, sha256: str | None) -> Path:
    url = f"{source.rstrip('/')}/{name.upper() if len(name) == 4 else name}.cif"
    folder = next((folder for folder in folders if _is_writable(folder)), None)
    if folder is None:
        raise InputError(f"expected a folder for {name}.cif that can be written to, got {folders[0]}; set paths.data")
    data = _get(url, f"put {name}.cif into {folders[0]} yourself, or check the network")
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256.lower():
        raise InputError(
            f"expected sha256 {sha256[:12]}… from {url}, got {digest[:12]}…; correct data.sha256, or put "
            f"the right {name}.cif into {folders[0]} yourself"
        )
    path = folder / f"{name}.cif"
    noted = {path: data, path.with_name(path.name + ".sha256"): f"{digest}  {path.name}\n".encode()}
    try:
        for file, content in noted.items():
            with replacing(file) as part:
                part.write_bytes(content)
    except OSError as error:
        raise InputError(f"expected room for {path}, got '{error.strerror}'; make room or set paths.data") from error
    return path


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _check_scheme(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise InputError(f"data.source: expected an https:// address, got {url}")


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _get(url: str, advice: str) -> bytes:
    _check_scheme(url)
    try:
        with urllib.request.build_opener(_OnlyHttps).open(url, timeout=TIMEOUT) as answer:
            data = answer.read()
    except urllib.error.HTTPError as error:
        raise InputError(f"expected a structure from {url}, got '{error.code} {error.reason}'; {advice}") from error
    except (OSError, http.client.HTTPException) as error:  # no network, no such host, timeout, cut short
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise InputError(f"expected a structure from {url}, got '{reason}'; {advice}") from error
    if not data.startswith(b"data_"):  # a login page, say
        raise InputError(f"expected an mmCIF file from {url}, got one that begins with {data[:20]!r}; {advice}")
    return data
