"""Answers a file of questions about pictures with a pool of workers: a Ray Data pipeline whose
actors each keep one `mqt serve` alive.

    pip install ray
    python examples/scale/ray_pipeline.py mqt questions.jsonl --images DIR --workers 2 -o answers.jsonl
"""

import argparse
import base64
import ctypes
import http.client
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
import urllib.parse

import ray


def end_with_parent():
    """Has the server end with its actor, also where that is killed. Linux only: elsewhere such a
    server stays until somebody ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Worker:
    """One `mqt serve`, for as long as the actor lives; started again if it dies."""

    def __init__(self, mqt, images, image_tokens, flags):
        self.line = [mqt, "serve", "--port", "0", "--quiet", *flags]
        self.images, self.image_tokens = pathlib.Path(images), image_tokens
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.line, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent
        )
        url = urllib.parse.urlparse(self.process.stdout.readline().strip())
        self.connection = http.client.HTTPConnection(url.netloc, timeout=600)
        self.connection.request("GET", "/v1/models")
        self.model = json.loads(self.connection.getresponse().read())["data"][0]["id"]

    def ask(self, image, text):
        picture = base64.b64encode((self.images / image).read_bytes()).decode()
        parts = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": text}]
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": parts}],
            "image_tokens": self.image_tokens,
        }
        for _ in range(3):
            try:
                self.connection.request("POST", "/v1/chat/completions", json.dumps(body))
                response = self.connection.getresponse()
                reply = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.close()
                self.start()
                continue
            if response.status == 200:
                return reply["choices"][0]["message"]["content"]
            # One bad picture does not stop the rest.
            return "error: " + reply["error"]["message"]
        raise RuntimeError("the server ended three times at one question")

    def close(self):
        self.connection.close()
        self.process.kill()
        self.process.wait()

    def __call__(self, batch):
        batch["answer"] = [self.ask(*pair) for pair in zip(batch["image"], batch["text"])]
        batch["worker"] = [os.getpid()] * len(batch["answer"])
        return batch

    def __del__(self):
        self.close()


def answers(args, workers, kill=False):
    """All answers by question, the workers that gave them, and the seconds it took."""
    lines = args.questions.read_text().splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    items = [{key: row[key] for key in ("question_id", "image", "text")} for row in rows]
    made = (args.mqt, str(args.images.resolve()), args.image_tokens, args.flags)
    data = ray.data.from_items(items, override_num_blocks=max(1, len(items) // args.batch))
    pool = ray.data.ActorPoolStrategy(size=workers)
    data = data.map_batches(
        Worker, fn_constructor_args=made, compute=pool, batch_size=args.batch, num_cpus=1
    )
    start, done, seen, killed = time.monotonic(), {}, set(), None
    for row in data.iter_rows():
        done[row["question_id"]] = row
        seen.add(row["worker"])
        if kill and killed is None and len(done) >= len(items) // 2:
            killed = row["worker"]
            os.kill(killed, signal.SIGKILL)
    seconds = time.monotonic() - start
    print(f"{len(done)} of {len(items)} answers, {len(seen)} workers, {seconds:.1f} s", flush=True)
    if kill:
        print(f"worker {killed} was killed halfway", flush=True)
    return done


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mqt")
    parser.add_argument("questions", type=pathlib.Path)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--image-tokens", type=int, default=16)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    parser.add_argument("--kill", action="store_true", help="end one worker halfway: a trial")
    parser.add_argument("--check", action="store_true", help="compare with one worker alone")
    parser.add_argument("--flags", type=shlex.split, default=[], help="of mqt serve, as one text")
    args = parser.parse_args()
    ray.init(log_to_driver=False, include_dashboard=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    done = answers(args, args.workers, args.kill)
    if args.check:
        alone = answers(args, 1)
        text = lambda rows: {key: row["answer"] for key, row in rows.items()}
        print("the same answers" if text(done) == text(alone) else "OTHER ANSWERS", flush=True)
    with open(args.output, "w") as file:
        for _, row in sorted(done.items(), key=lambda pair: str(pair[0])):
            file.write(json.dumps({k: v for k, v in row.items() if k != "worker"}) + "\n")


if __name__ == "__main__":
    main()
