"""Structure files come from disk or from a server, whole and checked, or not at all. The server is on loopback."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cryobench.data.molecules.fetch import content_sha256, find_structure
from cryobench.data.molecules.structures import read_bytes
from cryobench.errors import InputError

CONTENT = b"data_1ABC\n#\nloop_\n_atom_site.id\n1\n#\n"


@pytest.fixture
def server():
    """Answers /ID.cif; `paths` lists what was asked for, `how` maps a path to a way of answering."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.paths.append(self.path)
            how = self.server.how.get(self.path, "missing")
            if how == "moved":
                self.send_response(302)
                self.send_header("Location", "http://example.org/1ABC.cif")
                self.end_headers()
                return
            body = b"<html>" if how == "page" else CONTENT
            self.send_response(404 if how == "missing" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:9] if how == "cut" else body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.paths, server.how = [], {"/1ABC.cif": "whole", "/2CUT.cif": "cut", "/3MOV.cif": "moved", "/4PAG.cif": "page"}
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("cryobench.data.molecules.fetch.user_cache_path", lambda name: tmp_path / "cache" / name)


def refused(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), caught.value


def test_fetched_once_and_noted(server, tmp_path):
    data = tmp_path / "data"
    path = find_structure("1abc", data, server.url)
    assert path.read_bytes() == CONTENT
    assert (data / f"{path.name}.sha256").read_text().split()[0] == hashlib.sha256(CONTENT).hexdigest()
    assert find_structure("1ABC", data, server.url) == path
    assert server.paths == ["/1ABC.cif"]
    assert {p.name for p in data.iterdir()} == {path.name, f"{path.name}.sha256"}


def test_what_is_there_is_not_fetched(server, tmp_path):
    (tmp_path / "1abc.pdb").write_text("END")
    assert find_structure("1ABC", tmp_path, server.url) == tmp_path / "1abc.pdb"
    assert find_structure(tmp_path / "1abc.pdb", None, server.url) == tmp_path / "1abc.pdb"
    assert server.paths == []


def test_a_changed_file_is_noticed(server, tmp_path):
    path = find_structure("1ABC", tmp_path, server.url)
    path.write_bytes(CONTENT[:-5])
    refused(lambda: find_structure("1ABC", tmp_path, server.url), "sha256", str(path), "remove the file")


def test_a_known_sha256_is_insisted_on(server, tmp_path):
    right = hashlib.sha256(CONTENT).hexdigest()
    refused(lambda: find_structure("1ABC", tmp_path / "data", server.url, "0" * 64), "expected sha256 000000000000")
    assert not list((tmp_path / "data").iterdir())
    assert find_structure("1ABC", tmp_path / "data", server.url, right.upper()).is_file()
    refused(lambda: find_structure("1ABC", tmp_path / "data", server.url, "0" * 64), "the configuration")


def test_a_folder_without_write_access_is_not_needed(server, tmp_path):
    (tmp_path / "file").write_text("")
    path = find_structure("1ABC", tmp_path / "file" / "data", server.url)
    assert path.is_relative_to(tmp_path / "cache")
    assert find_structure("1ABC", tmp_path / "file" / "data", server.url) == path
    assert len(server.paths) == 1


def test_no_such_entry_no_network_and_broken_downloads(server, tmp_path):
    data = tmp_path / "data"
    refused(lambda: find_structure("9XYZ", data, server.url), "404", f"put 9XYZ.cif into {data} yourself")
    refused(lambda: find_structure("4PAG", data, server.url), "mmCIF", "<html>", f"put 4PAG.cif into {data} yourself")
    refused(lambda: find_structure("2CUT", data, server.url), f"put 2CUT.cif into {data} yourself")
    server.shutdown()
    server.server_close()
    refused(
        lambda: find_structure("1ABC", data, server.url), "Connection refused", f"put 1ABC.cif into {data} yourself"
    )
    assert not list(data.iterdir())


def test_only_https_beyond_this_machine(server, tmp_path):
    refused(lambda: find_structure("1ABC", tmp_path, "http://example.org"), "data.source", "https://")
    refused(lambda: find_structure("1ABC", tmp_path, "file:///etc"), "data.source")
    refused(lambda: find_structure("3MOV", tmp_path, server.url), "https://", "example.org")


def test_neither_an_id_nor_a_file(tmp_path):
    refused(lambda: find_structure(tmp_path / "gone.cif", tmp_path), "gone.cif", "does not exist")


def test_packing_does_not_change_the_content(tmp_path):
    import gzip

    (tmp_path / "a.cif").write_bytes(CONTENT)
    (tmp_path / "b.cif.gz").write_bytes(gzip.compress(CONTENT))
    assert content_sha256(tmp_path / "a.cif") == content_sha256(tmp_path / "b.cif.gz")
    assert read_bytes(tmp_path / "b.cif.gz") == CONTENT
