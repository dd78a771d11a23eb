# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.0", "transformers==5.23.0", "tokenizers==0.23.3",
#                 "safetensors==0.8.0", "numpy==2.4.6"]
# ///
"""Exports two tiny CLIP checkpoints, and what transformers computes with them.

    uv run tools/export_clip_golden.py     (or: pip install the versions above, then python3)

Under crates/visor-model/tests/goldens: `clip`, as transformers saves it, and `clip-legacy`, whose end
of text is the highest id, with GELU, a remainder of pixels and f16 weights. Each has config.json,
model.safetensors, tokenizer.json and `reference.safetensors`: pixels, ids, every hidden state, the
pooled embeddings, the patches in the common space and the logits. Weights come from a formula of
their name; activations are single precision, eager attention, one thread.
"""

import hashlib
import json
import pathlib
import shutil

import numpy as np
import torch
import transformers as hf
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

VERSIONS = {"transformers": (hf.__version__, "5.23.0"), "torch": (torch.__version__.split("+")[0], "2.15.0")}
ROOT = pathlib.Path(__file__).parent.parent / "crates/visor-model/tests/goldens"
WORDS = ["<|startoftext|>", "<|endoftext|>", "<unk>", "a", "red", "blue", "circle", "square", "left", "of", "the", "two"]
TEXTS = ["a red circle left of the blue square", "two blue circle left of the red circle"]


def noise(name, count):
    """Normal values that depend on `name` alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(count)


def tokenizer(end):
    """Words, begun and ended as CLIP's are; in the legacy layout the end has the highest id."""
    words = list(WORDS)
    if end == 2:
        words.remove("<|endoftext|>")
        words.append("<|endoftext|>")
    ids = {word: i for i, word in enumerate(words)}
    pieces = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    pieces.add_special_tokens([AddedToken(t, special=True) for t in ("<|startoftext|>", "<|endoftext|>")])
    pieces.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[(t, ids[t]) for t in ("<|startoftext|>", "<|endoftext|>")])
    return pieces


def export(name, side, patch, act, end, dtype):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pieces = tokenizer(end)
    config = hf.CLIPConfig(
        projection_dim=12, text_config=dict(
            hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, vocab_size=len(WORDS),
            max_position_embeddings=16, hidden_act=act, eos_token_id=end, bos_token_id=0, pad_token_id=1),
        vision_config=dict(hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3,
                           image_size=side, patch_size=patch, hidden_act=act))
    config._attn_implementation = "eager"
    model = hf.CLIPModel(config).eval()
    state = {}
    for key, value in model.state_dict().items():
        if key.endswith("position_ids"):
            continue
        spread = 0.3 if "embedding" in key else value.shape[-1] ** -0.5 if value.dim() > 1 else 0.1
        base = 1.0 if "norm" in key and key.endswith("weight") else 2.0 if key == "logit_scale" else 0.0
        values = base + spread * noise(f"{name} {key}", max(value.numel(), 1))
        state[key] = torch.tensor(values, dtype=dtype).reshape(value.shape)
    model.load_state_dict({key: value.float() for key, value in state.items()}, strict=False)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_diff_dict(), indent=1, sort_keys=True, default=str) + "\n")
    pieces.save(str(folder / "tokenizer.json"), pretty=False)
    ids = torch.tensor([encoded.ids for encoded in pieces.encode_batch(TEXTS)])
    pixels = torch.tensor(noise("pixels", 2 * 3 * side * side), dtype=torch.float32).reshape(2, 3, side, side)
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels)
        text = model.text_model(input_ids=ids, output_hidden_states=True)
        vision = model.vision_model(pixel_values=pixels, output_hidden_states=True)
        states = model.visual_projection(model.vision_model.post_layernorm(vision.last_hidden_state))
        found = {"ids": ids.to(torch.int32), "pixels": pixels, "logits": out.logits_per_image,
                 "text": model.text_projection(text.pooler_output), "whole": states[:, 0], "patches": states[:, 1:]}
        whole = model.visual_projection(vision.pooler_output)
        assert torch.equal(whole, found["whole"]) or torch.allclose(whole, found["whole"], atol=1e-6)
        for kind, seen in (("text", text), ("vision", vision)):
            for layer, value in enumerate(seen.hidden_states[1:]):
                found[f"{kind}.layer{layer}"] = value
    save_file({key: value.contiguous().float() for key, value in found.items()}, folder / "reference.safetensors")


def main():
    for package, (found, wanted) in VERSIONS.items():
        assert found == wanted, f"{package} {found}, expected {wanted}"
    torch.set_num_threads(1)
    export("clip", 24, 8, "quick_gelu", 1, torch.float32)
    export("clip-legacy", 22, 5, "gelu", 2, torch.float16)
    for folder in sorted(ROOT.glob("clip*")):
        print(folder.name, sum(file.stat().st_size for file in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main()
