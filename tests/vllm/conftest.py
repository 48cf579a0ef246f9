"""`make test-vllm` makes the environment that these need; elsewhere there is none of them."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("vllm") else ["test_*.py"]
