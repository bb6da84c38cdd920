"""What an answer by a schema costs, against the same model's free answers.

    mqt serve --port 8080 --model ./model &
    python tests/serve/forms.py http://127.0.0.1:8080/v1 [--tokens 64] [--rounds 5]

Asks in turn: a free answer, one by a schema whose text is long, one from choices, one with logprobs.
Prints for each the milliseconds of the first request, which compiles the form, and of a token in the
median of the others. Needs Python alone.
"""

import argparse
import json
import statistics
import time
import urllib.request

LONG = {
    "type": "object",
    "properties": {"text": {"type": "string", "minLength": 2000}},
    "required": ["text"],
    "additionalProperties": False,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()

    def call(path, body=None):
        data = body and json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(args.base + path, data)) as reply:
            return json.load(reply)

    model = call("/models")["data"][0]["id"]
    messages = [{"role": "user", "content": "Describe a street, as JSON with one text."}]
    kinds = {
        "free": {},
        "schema": {
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": LONG}}
        },
        "choices": {"choices": ["word " * 100 + str(n) for n in range(100)]},
        "logprobs": {"logprobs": True, "top_logprobs": 20},
    }
    first, tokens = {}, {kind: [] for kind in kinds}
    for n in range(args.rounds + 1):
        for kind, more in kinds.items():
            body = {"model": model, "messages": messages, "max_tokens": args.tokens, **more}
            start = time.monotonic()
            reply = call("/chat/completions", body)
            if n == 0:
                first[kind] = (time.monotonic() - start) * 1e3
                continue
            steps = reply["usage"]["completion_tokens"] - 1
            if steps > 0:
                tokens[kind].append(reply["timings"]["decode"] / steps)
    free = statistics.median(tokens["free"])
    for kind, ms in tokens.items():
        token = statistics.median(ms) if ms else 0
        print(
            f"{kind:9} first request {first[kind]:7.0f} ms   token {token:7.2f} ms"
            f"   {token - free:+6.2f} ms",
            flush=True,
        )


main()
