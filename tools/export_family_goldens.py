# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.0", "transformers==5.23.0", "tokenizers==0.23.3",
#                 "safetensors==0.8.0", "numpy==2.4.6", "pillow==11.3.0", "num2words==0.5.14"]
# ///
"""Exports tiny checkpoints of the stock families, and what transformers computes with them.

    uv run tools/export_family_goldens.py     (or: pip install the versions above, then python3)

One folder a checkpoint under crates/visor/tests/goldens, in a layout that transformers writes or that
the published checkpoints have; each with `reference/cases.json` and `reference/CASE.safetensors`.
Weights come from a formula of their name, so that they are the same wherever this runs; activations
are single precision, eager attention, one thread, pictures prepared by Pillow. Pillow 13 changed the
order in which a resize treats the axes, and torch the last digits of sums now and then: versions are
checked.
"""

import hashlib
import json
import pathlib
import shutil

import numpy as np
import PIL
import torch
import transformers as hf
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VERSIONS = {"transformers": (hf.__version__, "5.23.0"), "pillow": (PIL.__version__, "11.3.0"),
            "torch": (torch.__version__.split("+")[0], "2.15.0")}
ROOT = pathlib.Path(__file__).parent.parent / "crates/visor/tests/goldens"
NEW_TOKENS = 8
# The least distance between the best and the second best score that rounding cannot turn around.
MARGIN = 3e-3

SENTENCES = ["Which colour is the left square, and how many dots are on it?", "User: Assistant: system",
             "user assistant The tallest bar stands for 2019. It is blue.", "Read row 3, column 14."]
QUESTION = "How many dots are on the blue square in row 3?"
SMOL_CHAT = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{{ ':' if message['content'][0]['type'] == 'image' else ': ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}<image>{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}")
QWEN_CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{# pictures come first #}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}"
    "{% endfor %}{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ part['text'] }}{% endgeneration %}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

SMALL_TEXT = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=2048)
SMALL_VISION = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3)
SPLIT = [("split", ["photo"], {}, "full"), ("whole", ["photo"], {"do_image_splitting": False}, "full"),
         ("tall", ["tall"], {}, "brief"), ("dot", ["dot"], {}, "brief"),
         ("two", ["wide", "gray"], {}, "brief"), ("text", [], {}, "brief")]
ANYRES = [("alone", ["photo"], {}, "full"), ("shrunk", ["square"], {}, "brief"),
          ("tall", ["tall"], {}, "brief"), ("dot", ["dot"], {}, "brief"),
          ("two", ["photo", "wide"], {}, "brief"), ("text", [], {}, "brief")]
CHECKPOINTS = {
    "idefics3": dict(kind="Idefics3", side=32, patch=8, scale=2, layout="hub", dtype="bfloat16",
                     cases=SPLIT),
    # 25 patches a side: one of the sizes at which patches fall into their neighbours' buckets.
    "smolvlm": dict(kind="SmolVLM", side=50, patch=2, scale=5, layout="v5", dtype="float32",
                    shard="40KB", cases=[SPLIT[1], SPLIT[4]]),
    "llava-onevision": dict(kind="LlavaOnevision", side=26, patch=6, layout="hub", dtype="float16",
                            cases=ANYRES),
    "llava-onevision-v5": dict(kind="LlavaOnevision", side=26, patch=6, layout="v5",
                               dtype="float32", cases=[(*ANYRES[1][:3], "full"), ANYRES[4]]),
}
SIZES = {"photo": ("RGB", 83, 60), "square": ("RGB", 97, 101), "tall": ("RGB", 9, 120),
         "wide": ("RGBA", 140, 21), "gray": ("L", 31, 47), "dot": ("RGB", 1, 1)}


def noise(name, count):
    """Normal values that depend on `name` alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(count)


def picture(name):
    """Soft blobs with hard edges between them, and a slope of transparency where there is any."""
    mode, width, height = SIZES[name]
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for channel in range(3):
        a, b, c = noise(f"{name} {channel}", 3)
        wave = np.sin(x * (0.11 + 0.02 * a) + c) + np.cos(y * (0.13 + 0.02 * b) - c)
        planes.append(127 + 60 * wave + 60 * ((x // 9 + y // 7 + channel) % 2))
    rgb = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    if mode == "RGBA":
        slope = np.broadcast_to((x * 255 // max(width - 1, 1)).astype(np.uint8)[..., None], (height, width, 1))
        return Image.fromarray(np.concatenate([rgb, slope], -1))
    return Image.fromarray(rgb).convert(mode)


def tokenizer(kind):
    """Byte-level pieces with the special tokens and the pre-tokeniser of the real family."""
    smol = kind != "LlavaOnevision"
    pieces = Tokenizer(models.BPE())
    if smol:
        first = pre_tokenizers.Digits(individual_digits=True)
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<global-img>"]
        special += [f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)]
        special += ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]
        names = dict(bos_token="<|im_start|>", eos_token="<end_of_utterance>", pad_token="<|im_end|>")
    else:
        first = pre_tokenizers.Split(Regex(r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"), "isolated")
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
        names = dict(eos_token="<|im_end|>", pad_token="<|endoftext|>")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=smol)
    pieces.pre_tokenizer = pre_tokenizers.Sequence([first, level])
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    pieces.train_from_iterator(SENTENCES, trainers.BpeTrainer(
        vocab_size=290, show_progress=False, initial_alphabet=alphabet))
    pieces.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    return hf.PreTrainedTokenizerFast(tokenizer_object=pieces, model_max_length=2048, **names)


def processor(plan, words):
    kind, side = plan["kind"], plan["side"]
    patches = (side // plan["patch"]) ** 2
    images = getattr(hf, kind + "ImageProcessorPil")
    if kind == "LlavaOnevision":
        grid = [[side * rows, side * cols] for rows in range(1, 4) for cols in range(1, 4)]
        images = images(size={"height": side, "width": side}, image_grid_pinpoints=grid,
                        image_mean=[0.5] * 3, image_std=[0.5] * 3)
        return hf.LlavaOnevisionProcessor(
            images, words, hf.LlavaOnevisionVideoProcessor(), num_image_tokens=patches,
            vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_4",
            chat_template=QWEN_CHAT), grid
    images = images(size={"longest_edge": 3 * side}, max_image_size={"longest_edge": side})
    video = [hf.SmolVLMVideoProcessor()] if kind == "SmolVLM" else []
    return getattr(hf, kind + "Processor")(
        images, words, *video, image_seq_len=patches // plan["scale"] ** 2,
        chat_template=SMOL_CHAT), None


def network(plan, words, grid, seed):
    kind, ids = plan["kind"], words.convert_tokens_to_ids
    vision = {**SMALL_VISION, "image_size": plan["side"], "patch_size": plan["patch"]}
    if kind == "LlavaOnevision":
        text = hf.Qwen2Config(vocab_size=len(words) + 3, tie_word_embeddings=True,
                              rope_parameters={"rope_type": "default", "rope_theta": 1e6}, **SMALL_TEXT)
        config = hf.LlavaOnevisionConfig(
            text_config=text, vision_config=hf.SiglipVisionConfig(vision_use_head=False, **vision),
            image_token_index=ids("<image>"), video_token_index=ids("<video>"), tie_word_embeddings=True,
            image_grid_pinpoints=grid, vision_aspect_ratio="anyres_max_4")
        ends = dict(eos_token_id=ids("<|im_end|>"), pad_token_id=ids("<|endoftext|>"))
    else:
        text = hf.LlamaConfig(vocab_size=len(words), rms_norm_eps=1e-5, tie_word_embeddings=False, head_dim=8,
                              rope_parameters={"rope_type": "default", "rope_theta": 1e5}, **SMALL_TEXT)
        config = getattr(hf, kind + "Config")(
            text_config=text, vision_config=getattr(hf, kind + "VisionConfig")(**vision),
            image_token_id=ids("<image>"), scale_factor=plan["scale"], tie_word_embeddings=False)
        ends = dict(eos_token_id=ids("<end_of_utterance>"), pad_token_id=ids("<|im_end|>"))
    config._attn_implementation = "eager"
    model = getattr(hf, kind + "ForConditionalGeneration")(config).float().eval()
    dtype = getattr(torch, plan["dtype"])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = noise(f"{seed} {name}", weight.numel()).reshape(weight.shape)
            if weight.dim() == 1:
                values = (1.0 if "norm" in name and name.endswith("weight") else 0.0) + 0.2 * values
            elif "embed" in name:
                values = values * (0.1 if "patch" in name else 0.7)
            else:
                values = 1.3 * values / np.sqrt(weight[0].numel())
            # What is stored is what is computed with, whatever the format.
            weight.copy_(torch.from_numpy(values).to(dtype).float())
    model.generation_config = hf.GenerationConfig(**ends)
    return model


def levels(pixels):
    """The 8-bit levels behind values of -1 to 1."""
    return ((pixels * 0.5 + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def record(model, inputs, full):
    """What comes of one prompt, and the least margin of its greedy answer."""
    body, seen = model.model, {}
    tower = body.vision_tower if hasattr(body, "vision_tower") else body.vision_model
    connector = body.connector if hasattr(body, "connector") else body.multi_modal_projector
    places = {"vision_embeddings": tower.embeddings, "connector": connector}
    places |= {f"vision_layer_{i}": layer for i, layer in enumerate(tower.encoder.layers)}
    if hasattr(body, "connector"):  # LLaVA-OneVision computes the last norm and leaves it unused
        places["vision_post_layernorm"] = tower.post_layernorm

    def keep(name):
        def hook(_module, _inputs, output):
            seen[name] = output[0] if isinstance(output, tuple) else output
        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in places.items()]
    prefill = model(**inputs, output_hidden_states=True, use_cache=False)
    for hook in hooks:
        hook.remove()
    answer = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, output_logits=True,
                            return_dict_in_generate=True)
    steps = torch.cat(answer.logits)
    best = steps.topk(2).values
    ids = answer.sequences[0, inputs["input_ids"].shape[1]:]
    fine = len(ids) == NEW_TOKENS and len(set(ids.tolist())) > 2
    tensors = {"input_ids": inputs["input_ids"][0], "generated_ids": ids, "first_logits": steps[0]}
    if "pixel_values" in inputs:
        tensors["tiles_u8"] = levels(inputs["pixel_values"])
        about = {k: v for k, v in inputs.items() if k not in ("input_ids", "attention_mask")}
        features = body.get_image_features(**about, return_dict=True).pooler_output
        tensors["image_features"] = torch.cat(list(features))
    if full == "full":
        tensors |= seen
        # The last one stands behind the final norm.
        tensors |= {f"hidden_{i}": h[0] for i, h in enumerate(prefill.hidden_states)}
        tensors |= {"logits": prefill.logits[0], "step_logits": steps}
    margin = (best[:, 0] - best[:, 1]).min().item() if fine else 0.0
    return {k: v.clone().contiguous() for k, v in tensors.items()}, margin


def as_published(folder, plan):
    """Rewrites what version 5 saved to the files and fields of checkpoints on the Hub."""
    def edit(name, change):
        path = folder / name
        value = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(change(value), indent=1) + "\n")

    def sparse(section):
        plain = {k: v for k, v in section.items() if v is not None and k not in (
            "attention_bias", "attention_dropout", "dtype", "hidden_act", "initializer_range", "layer_norm_eps",
            "layer_types", "mlp_bias", "num_channels", "pretraining_tp")}
        if "rope_parameters" in plain:
            plain["rope_theta"] = plain.pop("rope_parameters")["rope_theta"]
        return plain

    edit("config.json", lambda c: {**sparse(c), "torch_dtype": plan["dtype"],
                                   "text_config": sparse(c["text_config"]),
                                   "vision_config": sparse(c["vision_config"])})
    processor = json.loads((folder / "processor_config.json").read_text())
    edit("preprocessor_config.json", lambda _: processor.pop("image_processor"))
    processor.pop("video_processor", None)
    edit("processor_config.json", lambda _: processor)
    template = folder / "chat_template.jinja"
    # One of the two older places each, so that all three are read.
    if plan["kind"] == "LlavaOnevision":
        edit("chat_template.json", lambda _: {"chat_template": template.read_text()})
        for file in folder.glob("*.safetensors"):
            old = load_file(file)
            new = {k.replace("vision_tower.", "vision_tower.vision_model.", 1): v for k, v in old.items()}
            save_file(new, file, metadata={"format": "pt"})
    else:
        edit("tokenizer_config.json", lambda c: {**c, "chat_template": template.read_text()})
    template.unlink()


def export(name, plan, pictures):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "reference").mkdir(parents=True)
    words = tokenizer(plan["kind"])
    prepare, grid = processor(plan, words)
    asked = []
    for case, shown, options, full in plan["cases"]:
        content = [{"type": "image"} for _ in shown] + [{"type": "text", "text": QUESTION}]
        prompt = prepare.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        images = dict(images=[[pictures[p] for p in shown]], **options) if shown else {}
        asked.append((case, shown, options, full, prompt, prepare(text=[prompt], return_tensors="pt", **images)))
    for seed in range(200):
        model, done = network(plan, words, grid, seed), []
        for case, shown, options, full, prompt, inputs in asked:
            tensors, margin = record(model, inputs, full)
            done.append((case, tensors, margin))
            if margin < MARGIN:
                break
        else:
            break
    else:
        raise SystemExit(f"{name}: every seed has a step that rounding could turn around")
    cases = {}
    for (case, shown, options, _, prompt, _), (_, tensors, margin) in zip(asked, done):
        cases[case] = {"images": shown, "question": QUESTION, "options": options, "prompt": prompt,
                       "margin": round(margin, 5)}
        save_file(tensors, folder / "reference" / f"{case}.safetensors")
    note = {"transformers": hf.__version__, "torch": torch.__version__.split("+")[0], "pillow": PIL.__version__, "seed": seed,
            "new_tokens": NEW_TOKENS, "cases": cases}
    (folder / "reference" / "cases.json").write_text(json.dumps(note, indent=1) + "\n")
    shard = {"max_shard_size": plan["shard"]} if "shard" in plan else {}
    model.to(getattr(torch, plan["dtype"])).save_pretrained(folder, **shard)
    prepare.save_pretrained(folder)
    if plan["layout"] == "hub":
        as_published(folder, plan)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name}: {size} bytes, seed {seed}, least margin {min(m for *_, m in done):.4f}")


def main():
    for library, (got, wanted) in VERSIONS.items():
        if got != wanted:
            raise SystemExit(f"{library} {got}: these goldens are made with {wanted}")
    torch.set_num_threads(1)
    hf.logging.set_verbosity_error()
    pictures = {name: picture(name) for name in SIZES}
    (ROOT / "images").mkdir(parents=True, exist_ok=True)
    for name, image in pictures.items():
        image.save(ROOT / "images" / f"{name}.png", optimize=True)
    for name, plan in CHECKPOINTS.items():
        export(name, plan, pictures)


if __name__ == "__main__":
    main()
