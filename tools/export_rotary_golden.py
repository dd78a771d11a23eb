# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.0", "transformers==5.23.0"]
# ///
"""Exports the rotary frequencies that transformers computes for the bases and widths of real models.

    uv run tools/export_rotary_golden.py     (or: pip install the versions above, then python3)

One line a base and a width of a head in crates/visor-model/tests/goldens/rotary.txt: both, and the
inverse frequencies in single precision, as `LlamaRotaryEmbedding.compute_default_rope_parameters` of
transformers has them (`modeling_llama.py`; the same in `modeling_qwen2.py`), written so that they
read back to the bit.
"""

import pathlib

import torch
import transformers as hf
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

VERSIONS = {"transformers": (hf.__version__, "5.23.0"), "torch": (torch.__version__.split("+")[0], "2.15.0")}
FILE = pathlib.Path(__file__).parent.parent / "crates/visor-model/tests/goldens/rotary.txt"
BASES, WIDTHS = (10000.0, 100000.0, 273768.0, 1000000.0), (64, 128)


def line(base, width):
    config = hf.LlamaConfig(head_dim=width, rope_parameters={"rope_type": "default", "rope_theta": base})
    inverse, _ = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    assert inverse.dtype == torch.float32
    return " ".join([f"{base:.0f}", str(width), *(str(value) for value in inverse.numpy())])


def main():
    for name, (got, wanted) in VERSIONS.items():
        assert got == wanted, f"{name} {got}: the golden was made with {wanted}"
    torch.set_num_threads(1)
    FILE.write_text("".join(f"{line(base, width)}\n" for base in BASES for width in WIDTHS))


if __name__ == "__main__":
    main()
