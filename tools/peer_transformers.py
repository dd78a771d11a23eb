# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.0", "transformers==5.23.0"]
# ///
"""The other side of `visor bench speed --peer transformers`: times Hugging Face transformers.

Its argument is a number format, `f32` or `bf16`. Reads a `config.json` on one line of standard
input, builds that model with random weights in that format, and says hello. Each further line is a task, answered with the seconds of its stages:

    {"clock": "wall", "tiles": 1, "batch": 1, "threads": 2, "text_tokens": 30, "visual_tokens": 64, "new_tokens": 16}
    {"encode": 1.4, "prefill": 0.14, "decode": 0.6}

Attention is `sdpa`, transformers' default. The keys and values are its own dynamic cache, and of a
prefill the scores of the last position alone are computed, as here.
"""

import json
import sys
import time

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
DTYPE = sys.argv[1]


def build(sizes):
    kind = sizes.pop("model_type")
    config = AutoConfig.for_model(kind, **sizes)
    config._attn_implementation = "sdpa"
    return AutoModelForImageTextToText.from_config(config).to(DTYPES[DTYPE]).eval()


def encode(core, pixels):
    if hasattr(core, "connector"):
        return core.connector(core.vision_model(pixel_values=pixels).last_hidden_state)
    hidden = core.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
    return core.multi_modal_projector(hidden)


@torch.inference_mode()
def turn(model, task):
    torch.set_num_threads(task["threads"])
    core, batch = model.model, task["batch"]
    clock = time.process_time if task["clock"] == "cpu" else time.perf_counter
    side = model.config.vision_config.image_size
    pixels = torch.rand(batch * task["tiles"], 3, side, side) * 2 - 1
    pixels = pixels.to(DTYPES[DTYPE])
    ids = torch.randint(3, 1000, (batch, task["text_tokens"]))
    start = clock()
    features = encode(core, pixels)
    encoded = clock()
    features = features.reshape(batch, -1, features.shape[-1])
    # As many visual tokens as the prompt has: lines and padding change their number.
    wanted = task["visual_tokens"]
    features = torch.cat([features] * -(-wanted // features.shape[1]), dim=1)[:, :wanted]
    words = model.get_input_embeddings()(ids)
    joined = torch.cat([words[:, :5], features, words[:, 5:]], dim=1)
    begun = clock()
    out = model(inputs_embeds=joined, use_cache=True, logits_to_keep=1)
    token = out.logits[:, -1].argmax(-1, keepdim=True)
    filled = clock()
    for _ in range(task["new_tokens"]):
        out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True,
                    logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1, keepdim=True)
    done = clock()
    return {"encode": encoded - start, "prefill": filled - begun, "decode": done - filled}


def main():
    model = build(json.loads(sys.stdin.readline()))
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    parameters = sum(p.numel() for p in model.parameters())
    say({"peer": f"{versions}, {DTYPE}, sdpa", "parameters": parameters})
    for line in sys.stdin:
        say(turn(model, json.loads(line)))


def say(what):
    print(json.dumps(what), flush=True)


main()
