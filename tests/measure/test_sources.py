import shutil

from measure import sources


def test_a_folders_id_is_its_files_and_not_its_name(model_folder, tmp_path):
    original = sources.find(str(model_folder("llama")))
    copy = shutil.copytree(model_folder("llama"), tmp_path / "another-name")
    (copy / "lineage.json").write_text("{}")  # a note is not the model
    (copy / "README.md").write_text("hello")
    assert sources.find(str(copy)).model_id == original.model_id
    assert original.model_id.startswith("sha256:") and len(original.model_id) == 7 + 64
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert sources.find(str(copy)).model_id != original.model_id


def test_the_digest_is_what_its_docstring_says(tmp_path):
    import hashlib

    (tmp_path / "a.json").write_bytes(b"1")
    (tmp_path / "b.json").write_bytes(b"2")
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    expected = hashlib.sha256(f"a.json {one}\nb.json {two}".encode()).hexdigest()
    found = sources._digest([tmp_path / "b.json", tmp_path / "a.json"])
    assert found == f"sha256:{expected}"


def test_parameters_are_counted_from_headers(model_folder):
    folder = model_folder("llama")
    # Untied: embedding and head 257*16 each; per layer q, o 16*16, k, v 16*8, MLP 3*16*32, norms.
    per_layer = 2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32 + 2 * 16
    assert sources.size_of(str(folder)).n_params == 2 * 257 * 16 + 2 * per_layer + 16


def test_only_a_name_with_one_slash_can_be_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sources.is_hub("org/name") and sources.is_hub("org/name@v1.0")
    assert sources.is_hub("org/name@refs/pr/1")
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert not sources.is_hub("org/name")  # a folder of that name is meant
    assert not any(map(sources.is_hub, ["zoo:llama-base", "x.gguf", "a/b/c", "../name", "name"]))
