#!/usr/bin/env python3
"""Writes a checkpoint of SmolVLM-256M's published shape with random weights.

usage: tools/make_random_checkpoint.py FOLDER

471 tensors, 256,484,928 parameters, 513 MB in bf16: for measuring what depends on size and not on
values, such as the memory of `visor convert`. Small files come from the golden of the same family.
Standard library of Python 3.9 or newer; values differ from run to run.
"""

import json
import math
import os
import pathlib
import struct
import sys

HIDDEN, INNER, LAYERS, VOCAB, HEADS, KV_HEADS, HEAD = 576, 1536, 30, 49280, 9, 3, 64
WIDTH, FFN, DEPTH, PATCH, SIDE, SCALE = 768, 3072, 12, 16, 512, 4
GOLDEN = pathlib.Path(__file__).parent.parent / "crates/visor/tests/goldens/idefics3"


def shapes():
    """Names and shapes, as they stand on the hub."""
    text, vision = "model.text_model.", "model.vision_model."
    yield text + "embed_tokens.weight", (VOCAB, HIDDEN)
    yield "lm_head.weight", (VOCAB, HIDDEN)
    yield text + "norm.weight", (HIDDEN,)
    for layer in range(LAYERS):
        own = f"{text}layers.{layer}."
        yield own + "self_attn.q_proj.weight", (HEADS * HEAD, HIDDEN)
        yield own + "self_attn.k_proj.weight", (KV_HEADS * HEAD, HIDDEN)
        yield own + "self_attn.v_proj.weight", (KV_HEADS * HEAD, HIDDEN)
        yield own + "self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD)
        yield own + "mlp.gate_proj.weight", (INNER, HIDDEN)
        yield own + "mlp.up_proj.weight", (INNER, HIDDEN)
        yield own + "mlp.down_proj.weight", (HIDDEN, INNER)
        yield own + "input_layernorm.weight", (HIDDEN,)
        yield own + "post_attention_layernorm.weight", (HIDDEN,)
    yield vision + "embeddings.patch_embedding.weight", (WIDTH, 3, PATCH, PATCH)
    yield vision + "embeddings.patch_embedding.bias", (WIDTH,)
    yield vision + "embeddings.position_embedding.weight", ((SIDE // PATCH) ** 2, WIDTH)
    for layer in range(DEPTH):
        own = f"{vision}encoder.layers.{layer}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{own}self_attn.{part}.weight", (WIDTH, WIDTH)
            yield f"{own}self_attn.{part}.bias", (WIDTH,)
        yield own + "mlp.fc1.weight", (FFN, WIDTH)
        yield own + "mlp.fc1.bias", (FFN,)
        yield own + "mlp.fc2.weight", (WIDTH, FFN)
        yield own + "mlp.fc2.bias", (WIDTH,)
        for norm in ("layer_norm1", "layer_norm2"):
            yield f"{own}{norm}.weight", (WIDTH,)
            yield f"{own}{norm}.bias", (WIDTH,)
    yield vision + "post_layernorm.weight", (WIDTH,)
    yield vision + "post_layernorm.bias", (WIDTH,)
    yield "model.connector.modality_projection.proj.weight", (HIDDEN, WIDTH * SCALE * SCALE)


def small_files(out):
    for file in GOLDEN.glob("*.json"):
        content = json.loads(file.read_text())
        if file.name == "config.json":
            content["text_config"].update(
                hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
                vocab_size=VOCAB, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
                head_dim=HEAD)
            content["vision_config"].update(
                hidden_size=WIDTH, intermediate_size=FFN, num_hidden_layers=DEPTH,
                num_attention_heads=12, image_size=SIDE, patch_size=PATCH)
            content.update(scale_factor=SCALE, tie_word_embeddings=False)
            if "vocab_size" in content:
                content["vocab_size"] = VOCAB
        if file.name == "preprocessor_config.json":
            content.update(size={"longest_edge": 4 * SIDE}, max_image_size={"longest_edge": SIDE})
        if file.name == "processor_config.json":
            content.update(image_seq_len=(SIDE // PATCH // SCALE) ** 2)
        (out / file.name).write_text(json.dumps(content, indent=2))


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True)
    small_files(out)
    header, end = {}, 0
    for name, shape in shapes():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # Either sign, magnitudes from 2**-8 to 2**-7.
    high = bytes(0x3C | sign & 0x80 for sign in range(256))
    with open(out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in shapes():
            n = math.prod(shape)
            values = bytearray(2 * n)
            values[0::2] = os.urandom(n)
            values[1::2] = os.urandom(n).translate(high)
            file.write(values)
    print(len(header), "tensors,", end // 2, "parameters")


if __name__ == "__main__":
    main()
