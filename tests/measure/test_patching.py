from dataclasses import replace

import numpy as np
import pytest
import torch

from measure import models, sources
from measure.circuit_records import PatchingEffect
from measure.errors import BadInput
from measure.patching import PARTS, Cell, Patching, summaries
from tests.conftest import ARCHITECTURES
from tests.measure.handmade import LOGIT, copying, one_term_differs
from tests.measure.tasksets import answered, gaps


def loaded(folder):
    return models.load(sources.find(str(folder)), device="cpu")


def in_roles(task):
    n_tokens = task.clean.shape[1]
    return replace(
        task,
        roles={"all": tuple(range(n_tokens)), "none": (), "two": (2, 3), "final": (n_tokens - 1,)},
    )


def patched(patching, cells):
    return patching.patched(cells, lambda _: None)


def everything(patching, **chosen):
    cells = [cell for layer in range(patching.n_layers) for cell in patching.cells(layer, **chosen)]
    found = [
        patched(patching, patching.cells(layer, **chosen)) for layer in range(patching.n_layers)
    ]
    return cells, np.concatenate(found)


def test_a_copying_head_is_found_where_it_reads_and_where_it_writes(model_folder):
    patching = Patching(copying(model_folder), one_term_differs())
    clean, corrupted = patching.differences()
    np.testing.assert_allclose(clean, LOGIT, rtol=1e-3)
    np.testing.assert_allclose(corrupted, -LOGIT, rtol=1e-3)
    right = {
        Cell(0, None, "resid", "term"),  # before it is read
        Cell(0, 0, "ov", "term"),  # where it is read
        Cell(0, 0, "attn", "final"),  # where it is written
        Cell(0, None, "attn", "final"),
        Cell(1, None, "resid", "final"),  # after it was written
    }
    cells, found = everything(patching)
    assert right <= set(cells)
    for cell, row in zip(cells, found, strict=True):
        np.testing.assert_allclose(row, LOGIT if cell in right else -LOGIT, rtol=1e-3)


def test_recovery_by_hand(model_folder):
    patching = Patching(copying(model_folder), one_term_differs())
    cells = patching.cells(0, ["ov"], ["term"])
    rows = summaries(cells, *patching.differences(), patched(patching, cells))
    assert [row.head for row in rows] == [0, 1]
    assert [row.recovery for row in rows] == [pytest.approx(1), pytest.approx(0, abs=1e-6)]
    assert rows[0].mean_effect == pytest.approx(2 * LOGIT, rel=1e-3)
    # Every prompt is alike: of any draw of them the recovery is 1.
    assert (rows[0].ci_low_recovery, rows[0].ci_high_recovery) == (
        pytest.approx(1), pytest.approx(1),
    )  # fmt: skip
    # Of 1 and 0 the mean is 1/2 and the deviation from it 1/2.
    assert [row.over_layer_mean for row in rows] == [pytest.approx(2), pytest.approx(0, abs=1e-6)]
    assert [row.z_in_layer for row in rows] == [pytest.approx(1), pytest.approx(-1)]


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_all_of_the_stream_recovers_all_and_no_token_nothing(model_folder, architecture):
    model = loaded(model_folder(architecture))
    task = in_roles(answered(model))
    patching = Patching(model, task)
    clean, corrupted = patching.differences()
    np.testing.assert_allclose(clean, gaps(model, task.clean, task), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(corrupted, gaps(model, task.corrupted, task), rtol=1e-4, atol=1e-4)
    assert np.abs(clean - corrupted).min() > 1e-3
    cells, found = everything(patching)
    resid = [cell.part == "resid" and cell.role == "all" for cell in cells]
    nothing = [cell.role == "none" for cell in cells]
    assert sum(resid) == 2
    np.testing.assert_allclose(found[resid], [clean, clean], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        found[nothing], np.broadcast_to(corrupted, found[nothing].shape), rtol=1e-3, atol=1e-3
    )
    assert {cell.part for cell, is_none in zip(cells, nothing, strict=True) if is_none} == set(
        PARTS
    )


def test_a_prompt_that_is_its_own_corruption_is_moved_by_nothing(model_folder):
    model = loaded(model_folder())
    task = in_roles(answered(model))
    patching = Patching(model, replace(task, corrupted=task.clean))
    clean, _ = patching.differences()
    _, found = everything(patching)
    np.testing.assert_allclose(found, np.broadcast_to(clean, found.shape), rtol=1e-4, atol=1e-4)


def with_hooks(hooks, model, ids, task):
    handles = [
        module.register_forward_pre_hook(hook) if is_before else module.register_forward_hook(hook)
        for module, is_before, hook in hooks
    ]
    try:
        return gaps(model, ids, task)
    finally:
        for handle in handles:
            handle.remove()


def inputs_of(block, names):
    """Modules that make queries, keys and values, and their columns of each."""
    attention = block.layer.get_submodule(block.attention)
    if hasattr(attention, "c_attn"):
        width = attention.c_attn.weight.shape[1] // 3
        thirds = {name: slice(i * width, (i + 1) * width) for i, name in enumerate("qkv")}
        return [(attention.c_attn, thirds[name]) for name in names]
    return [(getattr(attention, f"{name}_proj"), slice(None)) for name in names]


def z_with_clean_inputs(model, task, block, names, where):
    """By whole passes: what the heads give when some of their inputs are clean at some tokens."""
    found, hooks = {}, []
    for module, columns in inputs_of(block, names):
        kept = []
        with_hooks([(module, False, lambda _, __, out, kept=kept: kept.append(out))], model,
                   task.clean, task)  # fmt: skip

        def patch(_, __, out, columns=columns, kept=kept):
            out = out.clone()
            for token in where:
                out[:, token, columns] = kept[0][:, token, columns]
            return out

        hooks.append((module, False, patch))
    catch = (block.projection, True, lambda _, args: found.update(z=args[0]))
    with_hooks([*hooks, catch], model, task.corrupted, task)
    return found["z"]


@pytest.mark.parametrize("part", ["qk", "ov", "attn", "mlp"])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_patch_equals_hooks_on_the_whole_model(model_folder, architecture, part):
    model = loaded(model_folder(architecture))
    task = in_roles(answered(model))
    patching = Patching(model, task)
    where = task.roles["two"]
    cells = patching.cells(0, [part], ["two"])
    found = dict(zip(cells, patched(patching, cells), strict=True))
    block = patching._blocks._blocks[0]
    moved = 0.0
    for cell, row in found.items():
        if part == "mlp":
            module, is_before = block.layer.get_submodule(block.mlp), False
            kept = []
            with_hooks([(module, False, lambda _, __, o, kept=kept: kept.append(o))], model,
                       task.clean, task)  # fmt: skip

            def patch(_, __, out, kept=kept):
                out = out.clone()
                out[:, list(where)] = kept[0][:, list(where)]
                return out
        else:
            module, is_before = block.projection, True
            if part == "attn":
                kept = []
                with_hooks([(module, True, lambda _, a, kept=kept: kept.append(a[0]))], model,
                           task.clean, task)  # fmt: skip
                z, tokens = kept[0], list(where)
            else:
                z = z_with_clean_inputs(model, task, block, "v" if part == "ov" else "qk", where)
                tokens = list(range(task.clean.shape[1]))
            columns = (
                slice(None) if cell.head is None else patching._blocks.head_slice(0, cell.head)
            )

            def patch(_, args, z=z, tokens=tokens, columns=columns):
                value = args[0].clone()
                for token in tokens:
                    value[:, token, columns] = z[:, token, columns]
                return (value,)

        expected = with_hooks([(module, is_before, patch)], model, task.corrupted, task)
        np.testing.assert_allclose(row, expected, rtol=1e-3, atol=1e-3)
        moved = max(moved, np.abs(row - patching.differences()[1]).max())
    assert moved > 1e-2


@pytest.mark.parametrize("rows", [1, 2, 5, 30])
def test_how_many_prompts_at_once_changes_nothing(model_folder, rows):
    model = loaded(model_folder())
    task = in_roles(answered(model, n=7))
    found, expected = (everything(Patching(model, task, r))[1] for r in (rows, 64))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_layer_has_all_its_records(model_folder):
    model = loaded(model_folder())
    task = in_roles(answered(model, n=3))
    patching, heard = Patching(model, task), []
    found = list(patching.records(1, heard.append, roles=["two", "final"]))
    records = [row for row in found if isinstance(row, PatchingEffect)]
    cells = patching.cells(1, roles=["two", "final"])
    assert [(c.head, c.part, c.role) for c in found[len(records) :]] == [
        (c.head, c.part, c.role) for c in cells
    ]
    # Two roles of: the stream, the MLP, all heads, and 4 heads three times.
    assert len(records) == 2 * (1 + 1 + 1 + 3 * 4) * 3 == sum(heard)
    clean, corrupted = patching.differences()
    assert [r.ld_clean for r in records[:3]] == clean.tolist()
    assert [r.ld_corrupted for r in records[:3]] == corrupted.tolist()
    keys = {(r.prompt_id, r.layer, r.head, r.part, r.role) for r in records}
    assert len(keys) == len(records)
    assert {r.layer for r in records} == {1}
    assert list(patching.records(1, heard.append, parts=[])) == []


def test_a_role_that_the_task_has_not_is_refused(model_folder):
    model = loaded(model_folder())
    with pytest.raises(BadInput, match=r"no role 'term_9': give one of final"):
        Patching(model, answered(model)).cells(0, roles=["term_9"])


@pytest.mark.parametrize(
    ("clean", "corrupted", "reason"),
    [
        ([1.0, -1.0, 1.0, -1.0], [0.0] * 4, "not apart from 0"),
        ([0.3, 0.4, 0.3, 0.4], [0.0] * 4, "is 0.35, below 0.5"),
        ([2.0], [0.0], "1 prompt, at least 2 are needed"),
    ],
)
def test_nothing_is_divided_by_a_difference_that_is_none(clean, corrupted, reason):
    cells = [Cell(0, 0, "qk", "final"), Cell(0, 1, "qk", "final")]
    clean, corrupted = np.array(clean), np.array(corrupted)
    rows = summaries(cells, clean, corrupted, np.stack([corrupted + 1, corrupted]))
    assert all(reason in row.reason for row in rows)
    for row in rows:
        assert row.recovery is row.ci_low_recovery is row.over_layer_mean is row.z_in_layer is None
    assert [row.mean_effect for row in rows] == [1.0, 0.0]


def test_recovery_is_a_ratio_of_means_with_the_prompts_drawn_anew():
    # Prompts differ by 4 and by 0.4; the patch gives back 2 and 0.4: (2.4) / (4.4), not 3/4.
    clean, corrupted = np.array([4.0, 0.4] * 8), np.zeros(16)
    (row,) = summaries([Cell(0, None, "mlp", "x")], clean, corrupted, np.array([[2.0, 0.4] * 8]))
    assert row.recovery == pytest.approx(2.4 / 4.4)
    assert row.ci_low_recovery < 2.4 / 4.4 < row.ci_high_recovery
    # No draw can leave the two prompts' own recoveries.
    assert row.ci_low_recovery > 0.5
    assert row.ci_high_recovery < 1
    assert row.z_in_layer is row.over_layer_mean is None  # no head


@torch.inference_mode()
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_values_set_to_zero_leave_heads_silent(model_folder, architecture):
    model = loaded(model_folder(architecture))
    blocks = Patching(model, answered(model))._blocks
    stream = blocks.embed(torch.arange(9)[None])
    assert blocks.attend(0, stream, {}).abs().max() > 0
    assert blocks.attend(0, stream, {"v": torch.zeros_like}).abs().max() == 0
    torch.testing.assert_close(blocks.attend(0, stream, {}), blocks.read(0, stream).z)
    # Without queries all tokens so far are looked at alike: the mean of the values so far.
    found = []
    z = blocks.attend(0, stream, {"q": torch.zeros_like, "v": lambda v: found.append(v) or v})
    for head in range(blocks.n_heads(0)):
        own = found[0][:, :, blocks.value_slice(0, head)]
        means = own.cumsum(1) / torch.arange(1, 10)[:, None]
        n = 8  # of the sliding windows
        torch.testing.assert_close(
            z[:, :n, blocks.head_slice(0, head)], means[:, :n], rtol=1e-4, atol=1e-4
        )
