"""What lmms-eval asks of a row of samples.jsonl; runs in the folder that holds it."""

from PIL import Image


def doc_to_visual(doc):
    return [Image.open(doc["image"]).convert("RGB")]


def doc_to_text(doc):
    return doc["question"]


def doc_to_messages(doc):
    picture = {"type": "image", "url": doc_to_visual(doc)[0]}
    words = {"type": "text", "text": doc_to_text(doc)}
    return [{"role": "user", "content": [picture, words]}]


def process_results(doc, results):
    return {"exact_match": float(results[0].strip() == doc["answer"])}
