"""LangChain's OpenAI driver, unmodified, against a running `mqt serve`: text, a picture, a stream,
an answer that is an object, how likely tokens were, and many questions at once.

    mqt serve --port 8080 &
    pip install langchain-openai
    python tests/serve/langchain.py http://127.0.0.1:8080/v1 models/toybox/samples/toybox-1.png

Prints one line for each check, and ends with an error at the first that fails.
"""

import base64
import sys
import typing

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field


class Scene(BaseModel):
    """What is in the picture."""

    count: int = Field(ge=0, le=9)
    colour: typing.Literal["red", "blue", "green"]


def passed(name, so):
    print(f"{'ok' if so else 'FAILED'}  {name}", flush=True)
    if not so:
        sys.exit(1)


def main():
    base, path = sys.argv[1:]
    chat = ChatOpenAI(base_url=base, api_key="none", model="toybox", max_retries=0)
    with open(path, "rb") as file:
        url = "data:image/png;base64," + base64.b64encode(file.read()).decode()

    def about(text):
        image = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
        return [HumanMessage(content=[{"type": "text", "text": text}, image])]

    passed("text", isinstance(chat.invoke("Hello").content, str))
    answer = chat.invoke(about("what do you see?"))
    passed(f"a picture: {answer.content!r}", answer.usage_metadata["input_tokens"] > 16)
    pieces = [piece.content for piece in chat.stream(about("what do you see?"))]
    passed("a stream", "".join(pieces) == answer.content and len(pieces) > 3)
    scene = chat.with_structured_output(Scene, method="json_schema").invoke(about("What is it?"))
    passed(f"an object: {scene!r}", isinstance(scene, Scene))
    schema = Scene.model_json_schema()
    other = chat.with_structured_output(schema, method="json_schema", strict=True)
    passed("an object by a schema", set(other.invoke(about("What is it?"))) == {"count", "colour"})
    likely = chat.bind(logprobs=True, top_logprobs=2).invoke(about("what do you see?"))
    content = likely.response_metadata["logprobs"]["content"]
    passed("logprobs", all(len(token["top_logprobs"]) == 2 for token in content))
    questions = [about(f"How many things are there? {'?' * n}") for n in range(8)]
    passed("many at once", len(chat.batch(questions)) == 8)


main()
