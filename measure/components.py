"""Attention heads and MLPs of a model, and its layers as functions of the residual stream.

A head is its output z before the output projection; an MLP is its module's output (methods 4.3).
Layers are run one by one, from any of them, with parts given, edited or left out: so an ablation
starts where it acts and computes nothing that it knows already.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from measure.errors import BadInput
from measure.hooks import Edit, input_edited, output_edited, replaced
from measure.models import CausalLM, out_of_memory_named

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

AttentionInput = Literal["q", "k", "v"]

LAYERS = ("layers", "h", "blocks")
ATTENTIONS = ("self_attn", "attn", "attention", "self_attention")
PROJECTIONS = ("o_proj", "c_proj", "out_proj", "dense", "wo")
MLPS = ("mlp", "feed_forward", "ffn")


@dataclass(frozen=True, slots=True, order=True)
class Component:
    """A head of a layer, or its MLP (`head` is None), counted from 0."""

    layer: int
    head: int | None = None

    @property
    def is_head(self) -> bool:
        """Whether it is an attention head."""
        return self.head is not None

    @property
    def name(self) -> str:
        """`4.10` for head 10 of layer 4, `4.mlp` for the MLP."""
        return f"{self.layer}.{'mlp' if self.head is None else self.head}"

    @classmethod
    def parse(cls, name: str) -> Component:
        """The component of a name.

        Raises:
            BadInput: it is no name of one.
        """
        if (found := re.fullmatch(r"(\d+)\.(\d+|mlp)", name)) is None:
            raise BadInput(
                f"{name!r} names no component: give LAYER.HEAD such as 4.10, or LAYER.mlp"
            )
        layer, part = found.groups()
        return cls(int(layer), None if part == "mlp" else int(part))


@dataclass(frozen=True, slots=True)
class Parts:
    """What a layer read and wrote on given prompts."""

    z: Float[Tensor, "prompts tokens heads*head_dim"]
    mlp: Float[Tensor, "prompts tokens d_model"]
    after: Float[Tensor, "prompts tokens d_model"]


@dataclass(frozen=True, slots=True)
class _Block:
    """A layer, with the modules whose outputs are its components."""

    layer: nn.Module
    attention: str
    projection: nn.Module
    mlp: str
    n_heads: int


class Blocks:
    """A decoder's layers on texts of one length without padding.

    Raises:
        BadInput: its heads and MLPs are not where they are looked for, or running its layers one
            by one does not give what the model gives.
    """

    def __init__(self, model: CausalLM, ids: Int[Tensor, "prompts tokens"]) -> None:
        self.model = model
        self._example = ids[:1].to(model.device)
        layers = next(
            (found for name in LAYERS if (found := getattr(model.decoder, name, None)) is not None),
            None,
        )
        if layers is None:
            raise _unknown(model, "its layers")
        self._blocks = [_block(model, layer) for layer in layers]
        self._arguments = self._captured()
        self._refuse_if_it_differs()

    @property
    def n_layers(self) -> int:
        """Layers of the decoder."""
        return len(self._blocks)

    def n_heads(self, layer: int) -> int:
        """Attention heads of a layer."""
        return self._blocks[layer].n_heads

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """All of them: layer by layer, heads first, then the MLP."""
        return tuple(
            Component(layer, head)
            for layer in range(self.n_layers)
            for head in (*range(self.n_heads(layer)), None)
        )

    def check(self, component: Component) -> Component:
        """The same component, if the model has it.

        Raises:
            BadInput: it has not.
        """
        if component not in self.components:
            raise BadInput(
                f"{self.model.card.label!r} has no component {component.name}: its layers are 0 to "
                f"{self.n_layers - 1}, with heads 0 to {self.n_heads(0) - 1} and an mlp each"
            )
        return component

    def head_slice(self, layer: int, head: int) -> slice:
        """Where a head's output lies in the last axis of z."""
        width = self._z_width(layer) // self.n_heads(layer)
        return slice(head * width, (head + 1) * width)

    def head_projection(self, layer: int, head: int) -> Float[Tensor, "head_dim d_model"]:
        """What the output projection makes of one head's output, fp32."""
        projection = self._blocks[layer].projection
        return _by_input(projection).detach().float()[self.head_slice(layer, head)]

    def _z_width(self, layer: int) -> int:
        return _input_width(self._blocks[layer].projection)

    def embed(self, ids: Int[Tensor, "prompts tokens"]) -> Float[Tensor, "prompts tokens d_model"]:
        """The residual stream before the first layer."""
        caught: list[Tensor] = []

        def catch(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            caught.append(args[0] if args else kwargs["hidden_states"])
            raise _Reached

        handle = self._blocks[0].layer.register_forward_pre_hook(catch, with_kwargs=True)
        try:
            self.model.decoder(input_ids=ids.to(self.model.device), use_cache=False)
        except _Reached:
            pass
        finally:
            handle.remove()
        return caught[0]

    def run(
        self,
        layer: int,
        before: Float[Tensor, "prompts tokens d_model"],
        *,
        z: Tensor | None = None,
        mlp: Tensor | None = None,
        edit_z: Edit | None = None,
        edit_mlp: Edit | None = None,
        only: int | None = None,
    ) -> Float[Tensor, "prompts tokens d_model"]:
        """The residual stream after a layer.

        A part that is given (`z`, `mlp`) is not computed; one with an edit is computed and edited.
        With `only`, a position, the other positions of what comes back are not to be used: what
        they alone need is not computed.
        """
        block = self._blocks[layer]
        with (
            out_of_memory_named(len(before)),
            _given_attention(block, _at(z, only)),
            replaced(block.layer, block.mlp, _at(mlp, only)),
            input_edited(block.projection, edit_z),
            input_edited(block.projection, _only(only) if z is None else None),
            input_edited(_child(block.layer, block.mlp), _only(only) if mlp is None else None),
            output_edited(_child(block.layer, block.mlp), edit_mlp),
        ):
            return self._call(layer, before)

    def read(self, layer: int, before: Float[Tensor, "prompts tokens d_model"]) -> Parts:
        """What a layer's parts give, unchanged."""
        caught: dict[str, Tensor] = {}

        def catch(name: str) -> Edit:
            def keep(value: Tensor) -> Tensor:
                caught[name] = value
                return value

            return keep

        after = self.run(layer, before, edit_z=catch("z"), edit_mlp=catch("mlp"))
        return Parts(caught["z"], caught["mlp"], after)

    def attend(
        self,
        layer: int,
        before: Float[Tensor, "prompts tokens d_model"],
        edits: Mapping[AttentionInput, Edit],
    ) -> Float[Tensor, "prompts tokens heads*head_dim"]:
        """The heads' outputs z with queries, keys or values edited as they come from their weights.

        An edit that gives back what it was given reads it.

        Raises:
            BadInput: they come from weights that are not known here.
        """
        block, found = self._blocks[layer], list[Tensor]()

        def catch(z: Tensor) -> Tensor:
            found.append(z)
            raise _Reached

        with out_of_memory_named(len(before)), ExitStack() as edited:
            for part, edit in edits.items():
                edited.enter_context(output_edited(*self._attention_input(block, part, edit)))
            edited.enter_context(input_edited(block.projection, catch))
            with suppress(_Reached):
                self._call(layer, before)
        return found[0]

    def value_slice(self, layer: int, head: int) -> slice:
        """Where a head's values lie in the last axis of all; several heads may share theirs."""
        block = self._blocks[layer]
        width = self._z_width(layer) // block.n_heads
        attention = _child(block.layer, block.attention)
        shared_by: int = getattr(attention, "num_key_value_groups", 1)
        first = head // shared_by * width
        return slice(first, first + width)

    def _attention_input(
        self, block: _Block, part: AttentionInput, edit: Edit
    ) -> tuple[nn.Module, Edit]:
        """The module that makes queries, keys or values, and the edit of its whole output."""
        attention = _child(block.layer, block.attention)
        own = getattr(attention, f"{part}_proj", None)
        if isinstance(own, nn.Module):
            return own, edit
        together = getattr(attention, "c_attn", None)
        if not isinstance(together, nn.Module) or isinstance(together, nn.Linear):
            raise _unknown(self.model, "queries, keys and values")
        at = ("q", "k", "v").index(part)  # GPT-2 makes them at once, one after another

        def edit_third(output: Tensor) -> Tensor:
            thirds = list(output.chunk(3, dim=-1))
            thirds[at] = edit(thirds[at])
            return torch.cat(thirds, dim=-1)

        return together, edit_third

    def final(
        self,
        residual: Float[Tensor, "prompts tokens d_model"],
        tokens: Int[Tensor, "prompts k"],
        position: int = -1,
    ) -> Float[Tensor, "prompts k"]:
        """fp32 logits of given tokens at one position, from the stream after the last layer."""
        return self.model.token_logits(self.model.final_norm(residual[:, position]), tokens)

    @torch.inference_mode()
    def patterns(
        self, ids: Int[Tensor, "prompts tokens"]
    ) -> Float[Tensor, "prompts layers*heads tokens tokens"]:
        """Attention patterns of all heads, a row for each query: layer by layer."""
        model, found = self.model.model, list[Tensor]()
        usual = model.config._attn_implementation  # noqa: SLF001  transformers names it so
        model.set_attn_implementation("eager")  # the only one that gives its weights back
        try:
            handles = [
                _child(block.layer, block.attention).register_forward_hook(
                    lambda _, __, output: found.append(output[1].float())
                )
                for block in self._blocks
            ]
            try:
                self.model.decoder(input_ids=ids.to(self.model.device), use_cache=False)
            finally:
                for handle in handles:
                    handle.remove()
        finally:
            model.set_attn_implementation(usual)
        return torch.cat(found, dim=1)

    def _call(self, layer: int, before: Tensor) -> Tensor:
        args, kwargs = self._arguments[layer]
        after: Any = self._blocks[layer].layer(before, *args, **kwargs)
        return after[0] if isinstance(after, tuple) else after

    @torch.no_grad()  # not inference mode: a gradient may have to pass by them
    def _captured(self) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """What the decoder passes to each layer besides the stream: masks, positions, rotations.

        From one text, so that they broadcast over any number of texts of the same length.
        """
        found: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def catch(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            others = {name: value for name, value in kwargs.items() if name != "hidden_states"}
            found.append((args[1:], others))

        handles = [
            block.layer.register_forward_pre_hook(catch, with_kwargs=True) for block in self._blocks
        ]
        try:
            self.model.decoder(input_ids=self._example, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return found

    @torch.inference_mode()
    def _refuse_if_it_differs(self) -> None:
        own = self.model.decoder(input_ids=self._example, use_cache=False).last_hidden_state.float()
        stream = self.embed(self._example)
        for layer in range(self.n_layers):
            parts = self.read(layer, stream)
            stream = self.run(layer, stream, z=parts.z, mlp=parts.mlp)
        ours = self.model.final_norm(stream).float()
        scale = max(1.0, own.abs().max().item())
        precise = next(self.model.model.parameters()).dtype == torch.float32
        if own.shape != ours.shape or (own - ours).abs().max() > (1e-4 if precise else 0.1) * scale:
            raise _unknown(self.model, "what its layers pass on")


class _Reached(Exception):  # noqa: N818  no error: the pass has come as far as it is wanted
    pass


@contextmanager
def _given_attention(block: _Block, z: Tensor | None) -> Generator[None]:
    output = None if z is None else (block.projection(z), None)
    with replaced(block.layer, block.attention, output):
        yield


def _only(position: int | None) -> Edit | None:
    """One position of the others' axis kept: the residual sum spreads it over all."""
    return None if position is None else lambda value: _at_position(value, position)


def _at(value: Tensor | None, position: int | None) -> Tensor | None:
    return value if value is None or position is None else _at_position(value, position)


def _at_position(value: Tensor, position: int) -> Tensor:
    return value[:, [position]]


def _child(layer: nn.Module, name: str) -> nn.Module:
    return layer.get_submodule(name)


def _block(model: CausalLM, layer: nn.Module) -> _Block:
    attention = next((name for name in ATTENTIONS if hasattr(layer, name)), None)
    mlp = next((name for name in MLPS if hasattr(layer, name)), None)
    if attention is None or mlp is None:
        raise _unknown(model, "attention and MLP")
    inside = _child(layer, attention)
    projection = next((name for name in PROJECTIONS if hasattr(inside, name)), None)
    head_dim: int | None = getattr(inside, "head_dim", None)
    if projection is None or head_dim is None:
        raise _unknown(model, "the output projection of its attention")
    module = _child(inside, projection)
    return _Block(layer, attention, module, mlp, _input_width(module) // head_dim)


def _input_width(projection: nn.Module) -> int:
    return len(_by_input(projection))


def _by_input(projection: nn.Module) -> Float[Tensor, "inputs outputs"]:
    """Its weight, a row an input."""
    weight = projection.get_parameter("weight")
    return weight.T if isinstance(projection, nn.Linear) else weight  # Conv1D holds it so


def _unknown(model: CausalLM, what: str) -> BadInput:
    return BadInput(
        f"architecture {model.card.architecture!r}: {what} cannot be found as other decoders have "
        "it, so nothing of it can be ablated: it needs support in measure/components.py"
    )
