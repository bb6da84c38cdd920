"""The official `openai` client, unmodified, against a running `mqt serve`: text, pictures, a
stream, detail, earlier turns, schemas, choices, logprobs, a client that leaves, and every kind of
refusal.

    mqt serve --port 8080 &
    pip install -r tests/serve/requirements.txt
    python tests/serve/client.py http://127.0.0.1:8080/v1 models/toybox/samples/toybox-1.png

Prints one line for each check, and ends with an error at the first that fails.
"""

import base64
import json
import sys
import urllib.request

import openai


def main():
    base, path = sys.argv[1:]
    client = openai.OpenAI(base_url=base, api_key="none", max_retries=0)
    model = client.models.list().data[0].id
    with open(path, "rb") as file:
        url = "data:image/png;base64," + base64.b64encode(file.read()).decode()

    def about(text, url=url, detail="low"):
        image = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        return {"role": "user", "content": [image, {"type": "text", "text": text}]}

    def ask(messages, **more):
        return client.chat.completions.create(model=model, messages=messages, **more)

    def passed(name, so):
        print(f"{'ok' if so else 'FAILED'}  {name}", flush=True)
        if not so:
            sys.exit(1)

    text = ask([{"role": "user", "content": "Hello"}])
    passed("text", text.choices[0].message.content is not None)

    question = about("what do you see?")
    first = ask([question])
    answer = first.choices[0].message.content
    details = first.usage.prompt_tokens_details
    passed(f"a picture, detail low: {answer!r}", details.image_tokens == 16)
    high = ask([about("what do you see?", detail="high")])
    passed("detail high", high.usage.prompt_tokens_details.image_tokens > 16)
    some = ask([question], extra_body={"image_tokens": 5})
    passed("image_tokens", some.usage.prompt_tokens_details.image_tokens == 5)

    image = question["content"][0]
    both = ask([{"role": "user", "content": [image, *question["content"]]}])
    passed("two pictures", both.usage.prompt_tokens_details.image_tokens > 16)

    chunks = list(ask([question], stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    passed("a stream", "".join(pieces) == answer and chunks[-1].usage.total_tokens > 16)

    turns = [question, {"role": "assistant", "content": answer}]
    turns.append({"role": "user", "content": "how many things are there?"})
    passed("an earlier turn", ask(turns).usage.prompt_tokens > first.usage.prompt_tokens)
    seeds = [ask([question], temperature=1, seed=7).choices[0].message.content for _ in range(2)]
    passed("a seed", seeds[0] == seeds[1])

    def schema(schema):
        return {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}

    kept = {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 0, "maximum": 9},
            "sure": {"type": "boolean"},
        },
        "required": ["count", "sure"],
        "additionalProperties": False,
    }
    value = json.loads(ask([question], response_format=schema(kept)).choices[0].message.content)
    passed(f"a schema: {value}", isinstance(value["count"], int) and value["sure"] in (True, False))
    choices = ["a zebra", "a whale"]
    chosen = ask([question], extra_body={"choices": choices}).choices[0].message.content
    passed(f"choices: {chosen!r}", chosen in choices)
    likely = ask([question], logprobs=True, top_logprobs=3)
    listed = likely.choices[0].logprobs.content
    best = all(token.top_logprobs[0].token == token.token for token in listed)
    passed("logprobs", best and len(listed) == likely.usage.completion_tokens)

    stream = ask([question], stream=True)
    next(iter(stream))
    stream.close()
    passed("a client that leaves", ask([question]).choices[0].message.content == answer)

    def refused(name, kind, code, **request):
        try:
            client.chat.completions.create(**{"model": model, "messages": [question], **request})
        except kind as error:
            passed(f"{name}: {error.message}", error.code == code)
        else:
            passed(name, False)

    bad, none = openai.BadRequestError, "unsupported_value"
    refused("a wrong model", openai.NotFoundError, "model_not_found", model="gpt-4o")
    refused("a schema that cannot be kept to", bad, "invalid_value",
            response_format=schema({"not": {}}))
    refused("a file", bad, none, messages=[about("?", url="file:///etc/passwd")])
    refused("a private address", bad, none, messages=[about("?", url="http://169.254.169.254/")])
    long = [about("?", url="data:image/png;base64," + "A" * 60_000_000)]
    refused("60 MB", openai.APIStatusError, "body_too_large", messages=long)
    refused("a foreign origin", openai.PermissionDeniedError, "origin_not_allowed",
            extra_headers={"origin": "http://evil.example"})
    with urllib.request.urlopen(base.removesuffix("/v1") + "/health") as health:
        passed("the server is well", health.status == 200)


main()
