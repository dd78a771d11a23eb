"""A running `visor serve`, asked with the official `openai` package.

python3 openai_client.py http://127.0.0.1:8080 PICTURE QUESTION

Written for openai 1.x and later. Every step checks what it gets: the script ends with 0 only if the
package and the server understand each other.
"""

import base64
import os
import sys

import openai

url, picture, question = (sys.argv[1:] + [None] * 3)[:3]
url = url or "http://127.0.0.1:8080"
picture = picture or "models/nano/samples/00004.png"
question = question or "follow r5 c3 ?"
client = openai.OpenAI(
    base_url=f"{url}/v1", api_key=os.environ.get("VISOR_API_KEY", "none"), max_retries=0
)

models = [model.id for model in client.models.list()]
print("models:", ", ".join(models))
name = models[0]

with open(picture, "rb") as file:
    data = base64.b64encode(file.read()).decode()
image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
messages = [{"role": "user", "content": [image, {"type": "text", "text": question}]}]

# Chat, at a budget that stands in the model's name.
answer = client.chat.completions.create(model=f"{name}@sa0", messages=messages)
spent = answer.usage.model_extra["visor"]
print("sa0:", answer.choices[0].message.content, spent["gflops"], "GFLOPs")
assert spent["chosen"] == "sa0"

# What OpenAI's API does not know goes into `extra_body` or `extra_headers`.
answer = client.chat.completions.create(
    model=name, messages=messages, extra_body={"visor": {"max_gflops": spent["gflops"] * 1.1}}
)
assert answer.usage.model_extra["visor"]["chosen"] == "sa0"
answer = client.chat.completions.create(
    model=name, messages=messages, extra_headers={"x-visor-budget": "sa1"}
)
assert answer.usage.model_extra["visor"]["chosen"] == "sa1"
assert answer.usage.model_extra["visor"]["cache_hit"], "the picture is encoded once"
whole = answer.choices[0].message.content

# A stream has the same words, and says at the end what it took.
stream = client.chat.completions.create(
    model=f"{name}@sa1", messages=messages, stream=True, stream_options={"include_usage": True}
)
pieces, usage = [], None
for chunk in stream:
    assert "usage" in chunk.model_fields_set, chunk
    pieces += [choice.delta.content or "" for choice in chunk.choices]
    usage = chunk.usage or usage
assert "".join(pieces) == whole, (pieces, whole)
assert usage.completion_tokens >= 1
print("sa1:", whole)

# What was answered goes back as it came, before the next question. A model that is asked single
# questions refuses a conversation, and nothing else about it.
conversation = [*messages, answer.choices[0].message, {"role": "user", "content": question}]
try:
    again = client.chat.completions.create(model=name, messages=conversation)
    print("again:", again.choices[0].message.content)
except openai.BadRequestError as error:
    assert error.param == "messages", error
    print("again:", error.message)

# Errors are those of the package.
for wrong, kind in [
    ({"model": "no-such-model"}, openai.NotFoundError),
    ({"model": f"{name}@sa99"}, openai.BadRequestError),
    ({"n": 2}, openai.BadRequestError),
    ({"temperature": -1}, openai.BadRequestError),
]:
    try:
        client.chat.completions.create(**{"model": name, "messages": messages, **wrong})
    except kind as error:
        print("refused:", error.status_code, error.code)
    else:
        raise SystemExit(f"{wrong} was not refused")
