import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `planting`, the lakes these tests share
sys.path.insert(0, str(Path(__file__).parents[1] / "warehouse"))  # `making`, the rows it is made of
