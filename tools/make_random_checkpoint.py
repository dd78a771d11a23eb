#!/usr/bin/env python3
"""Writes a checkpoint of a published shape with random weights.

smolvlm-256m: 471 tensors, 256,484,928 parameters, 513 MB in bf16. llava-ov-0.5b: SigLIP so400m's 26
layers and Qwen2's 24, 894 million parameters, 1.79 GB in f16. llava-ov-7b: the same encoder and
Qwen2's 28 wider layers, 8.0 billion parameters, 16 GB in f16. For measuring what depends on size and
not on values, such as the memory of loading and converting. Small files come from the golden of the
same family. Standard library of Python 3.9 or newer; values differ from run to run.
"""

import argparse
import json
import math
import os
import pathlib
import struct
import sys

GOLDENS = pathlib.Path(__file__).parent.parent / "crates/visor/tests/goldens"


def siglip(prefix, width, ffn, depth, patch, n_patches):
    """Names and shapes of a vision tower, as they stand on the hub."""
    yield prefix + "embeddings.patch_embedding.weight", (width, 3, patch, patch)
    yield prefix + "embeddings.patch_embedding.bias", (width,)
    yield prefix + "embeddings.position_embedding.weight", (n_patches, width)
    for layer in range(depth):
        own = f"{prefix}encoder.layers.{layer}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{own}self_attn.{part}.weight", (width, width)
            yield f"{own}self_attn.{part}.bias", (width,)
        yield own + "mlp.fc1.weight", (ffn, width)
        yield own + "mlp.fc1.bias", (ffn,)
        yield own + "mlp.fc2.weight", (width, ffn)
        yield own + "mlp.fc2.bias", (width,)
        for norm in ("layer_norm1", "layer_norm2"):
            yield f"{own}{norm}.weight", (width,)
            yield f"{own}{norm}.bias", (width,)
    yield prefix + "post_layernorm.weight", (width,)
    yield prefix + "post_layernorm.bias", (width,)


def decoder(prefix, hidden, inner, layers, vocab, queries, keys, bias):
    """Those of a decoder; `queries` and `keys` are the widths of their heads together."""
    yield prefix + "embed_tokens.weight", (vocab, hidden)
    yield prefix + "norm.weight", (hidden,)
    for layer in range(layers):
        own = f"{prefix}layers.{layer}."
        for part, width in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
            yield f"{own}self_attn.{part}.weight", (width, hidden)
            if bias:
                yield f"{own}self_attn.{part}.bias", (width,)
        yield own + "self_attn.o_proj.weight", (hidden, queries)
        yield own + "mlp.gate_proj.weight", (inner, hidden)
        yield own + "mlp.up_proj.weight", (inner, hidden)
        yield own + "mlp.down_proj.weight", (hidden, inner)
        yield own + "input_layernorm.weight", (hidden,)
        yield own + "post_attention_layernorm.weight", (hidden,)


class SmolVlm:
    golden, dtype = "idefics3", "BF16"
    # Either sign, magnitudes from 2**-8 to 2**-7.
    high = bytes(0x3C | sign & 0x80 for sign in range(256))

    @staticmethod
    def shapes():
        yield from decoder("model.text_model.", 576, 1536, 30, 49280, 576, 192, False)
        yield "lm_head.weight", (49280, 576)
        yield from siglip("model.vision_model.", 768, 3072, 12, 16, 32 * 32)
        yield "model.connector.modality_projection.proj.weight", (576, 768 * 16)

    @staticmethod
    def change(name, content):
        if name == "config.json":
            content["text_config"].update(
                hidden_size=576, intermediate_size=1536, num_hidden_layers=30, vocab_size=49280,
                num_attention_heads=9, num_key_value_heads=3, head_dim=64)
            content["vision_config"].update(
                hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
                num_attention_heads=12, image_size=512, patch_size=16)
            content.update(scale_factor=4, tie_word_embeddings=False)
            if "vocab_size" in content:
                content["vocab_size"] = 49280
        if name == "preprocessor_config.json":
            content.update(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
        if name == "processor_config.json":
            content.update(image_seq_len=64)


class LlavaOneVision:
    golden, dtype = "llava-onevision", "F16"
    # The same in a format of five bits for the exponent.
    high = bytes(0x1C | sign & 0x80 for sign in range(256))
    pinpoints = [[384 * row, 384 * column] for row in range(1, 7) for column in range(1, 7)]
    hidden, inner, layers, vocab, heads, key_heads, tied = 896, 4864, 24, 152000, 14, 2, True

    @classmethod
    def shapes(cls):
        head = cls.hidden // cls.heads
        queries, keys = cls.heads * head, cls.key_heads * head
        yield from decoder(
            "language_model.model.", cls.hidden, cls.inner, cls.layers, cls.vocab, queries, keys, True)
        if not cls.tied:
            yield "language_model.lm_head.weight", (cls.vocab, cls.hidden)
        yield from siglip("vision_tower.vision_model.", 1152, 4304, 26, 14, 27 * 27)
        for linear, width in (("linear_1", 1152), ("linear_2", cls.hidden)):
            yield f"multi_modal_projector.{linear}.weight", (cls.hidden, width)
            yield f"multi_modal_projector.{linear}.bias", (cls.hidden,)
        yield "image_newline", (cls.hidden,)

    @classmethod
    def change(cls, name, content):
        if name == "config.json":
            content["text_config"].update(
                hidden_size=cls.hidden, intermediate_size=cls.inner, num_hidden_layers=cls.layers,
                vocab_size=cls.vocab, num_attention_heads=cls.heads,
                num_key_value_heads=cls.key_heads, max_position_embeddings=32768,
                tie_word_embeddings=cls.tied)
            content["vision_config"].update(
                hidden_size=1152, intermediate_size=4304, num_hidden_layers=26,
                num_attention_heads=16, image_size=384, patch_size=14)
            content.update(
                image_grid_pinpoints=cls.pinpoints, vision_aspect_ratio="anyres_max_9",
                tie_word_embeddings=cls.tied)
        if "preprocessor" in name:
            content.update(image_grid_pinpoints=cls.pinpoints, size={"height": 384, "width": 384})
        if name == "processor_config.json":
            content.update(num_image_tokens=27 * 27, vision_aspect_ratio="anyres_max_9")
            if "image_processor" in content:
                cls.change("preprocessor", content["image_processor"])


class LlavaOneVision7B(LlavaOneVision):
    hidden, inner, layers, vocab, heads, key_heads, tied = 3584, 18944, 28, 152128, 28, 4, False


SHAPES = {
    "smolvlm-256m": SmolVlm,
    "llava-ov-0.5b": LlavaOneVision,
    "llava-ov-7b": LlavaOneVision7B,
}


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("folder", type=pathlib.Path, help="is made, with what is above it")
    arguments.add_argument("shape", nargs="?", choices=SHAPES, default="smolvlm-256m")
    asked = arguments.parse_args()
    out, shape = asked.folder, SHAPES[asked.shape]
    out.mkdir(parents=True)
    for file in (GOLDENS / shape.golden).glob("*.json"):
        content = json.loads(file.read_text())
        shape.change(file.name, content)
        (out / file.name).write_text(json.dumps(content, indent=2))
    header, end = {}, 0
    for name, dims in shape.shapes():
        start, end = end, end + 2 * math.prod(dims)
        header[name] = {"dtype": shape.dtype, "shape": dims, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, dims in shape.shapes():
            n = math.prod(dims)
            values = bytearray(2 * n)
            values[0::2] = os.urandom(n)
            values[1::2] = os.urandom(n).translate(shape.high)
            file.write(values)
    print(len(header), "tensors,", end // 2, "parameters")


if __name__ == "__main__":
    main()
