# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.0", "transformers==5.23.0", "tokenizers==0.23.3",
#                 "safetensors==0.8.0", "numpy==2.4.6", "pillow==11.3.0", "num2words==0.5.14"]
# ///
"""Exports what transformers answers where generation_config.json changes scores.

    uv run tools/export_generation_goldens.py     (or: pip install the versions above, then python3)

Asks the tiny checkpoints under crates/visor/tests/goldens (tools/export_family_goldens.py) greedily
under settings that each change the answer, and writes the ids to generation.json beside them. An
answer with a step that rounding could turn around is left out.
"""

import json
import pathlib

import torch
import transformers as hf
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent / "crates/visor/tests/goldens"
QUESTION = "How many dots are on the blue square in row 3?"
SHOWN = [[], ["photo"], ["wide", "gray"]]
NEW_TOKENS = 8
# The least distance between the best and the second best score that rounding cannot turn around.
MARGIN = 3e-3


def settings(plain, prompt):
    """Settings that change the answer `plain` to `prompt` tokens."""
    ends = {"eos_token_id": plain[1]}
    return [
        {"repetition_penalty": 1.3}, {"repetition_penalty": 3.0}, {"repetition_penalty": 0.7},
        {"no_repeat_ngram_size": 1}, {"no_repeat_ngram_size": 2},
        {"suppress_tokens": plain[:3]}, {"begin_suppress_tokens": plain[:1]},
        ends, {"min_new_tokens": 5, **ends}, {"min_length": prompt + 4, **ends},
        {"repetition_penalty": 1.5, "no_repeat_ngram_size": 3, "min_new_tokens": 2,
         "suppress_tokens": plain[1:2], "begin_suppress_tokens": plain[:1], "eos_token_id": plain[2]},
    ]


def answer(model, inputs, asked):
    """The ids of the answer, and the least margin of its steps."""
    out = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, output_scores=True,
                         return_dict_in_generate=True, **asked)
    best = torch.cat(out.scores).topk(2).values
    return out.sequences[0, inputs["input_ids"].shape[1]:].tolist(), (best[:, 0] - best[:, 1]).min().item()


def main():
    if hf.__version__ != "5.23.0":
        raise SystemExit(f"transformers {hf.__version__}: this golden is made with 5.23.0")
    torch.set_num_threads(1)
    hf.logging.set_verbosity_error()
    done, left = [], 0
    for name in ["idefics3", "smolvlm", "llava-onevision", "llava-onevision-v5"]:
        model = hf.AutoModelForImageTextToText.from_pretrained(
            ROOT / name, dtype=torch.float32, attn_implementation="eager").eval()
        prepare = hf.AutoProcessor.from_pretrained(ROOT / name)
        prepare.image_processor = hf.AutoImageProcessor.from_pretrained(ROOT / name, backend="pil")
        template = prepare.chat_template or prepare.tokenizer.chat_template
        for shown in SHOWN:
            content = [{"type": "image"} for _ in shown] + [{"type": "text", "text": QUESTION}]
            prompt = prepare.apply_chat_template([{"role": "user", "content": content}],
                                                 chat_template=template, add_generation_prompt=True)
            images = dict(images=[[Image.open(ROOT / f"images/{p}.png") for p in shown]]) if shown else {}
            inputs = prepare(text=[prompt], return_tensors="pt", **images)
            plain, _ = answer(model, inputs, {})
            for asked in settings(plain, inputs["input_ids"].shape[1]):
                ids, margin = answer(model, inputs, asked)
                if margin < MARGIN or ids == plain:
                    left += 1
                    continue
                done.append({"model": name, "images": shown, "generation": asked, "ids": ids})
    lines = ",\n".join(json.dumps(case) for case in done)
    (ROOT / "generation.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(done)} answers, {left} left out")


if __name__ == "__main__":
    main()
