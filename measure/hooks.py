"""A module's input or output edited, or the module replaced, for a while."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Edit = Callable[[Tensor], Tensor]


class _Given(nn.Module):
    """Gives what is known already, whatever it is asked."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self, *_: Any, **__: Any) -> Any:
        return self.output


@contextmanager
def replaced(module: nn.Module, child: str, output: Any) -> Generator[None]:
    """A child of a module replaced by its known output; None leaves it."""
    if output is None:
        yield
        return
    usual = module.get_submodule(child)
    setattr(module, child, _Given(output))
    try:
        yield
    finally:
        setattr(module, child, usual)


@contextmanager
def input_edited(module: nn.Module, edit: Edit | None) -> Generator[None]:
    """What goes into a module, edited; None leaves it."""
    if edit is None:
        yield
        return
    handle = module.register_forward_pre_hook(lambda _, args: (edit(args[0]), *args[1:]))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def output_edited(module: nn.Module, edit: Edit | None) -> Generator[None]:
    """What comes out of a module, edited; None leaves it."""
    if edit is None:
        yield
        return

    def hook(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        return edit(output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
