"""Many clients of one `mqt serve`: no answer is lost, mixed up or different from the program's.

    cargo build --release
    python tests/serve/load.py target/release/mqt [--requests 2000] [--clients 200] [--kills 5]

Starts the server itself (the bundled model, on the processor), asks the 200 held-out questions about
50 pictures with ten numbers of image tokens each, and compares every answer with what the program
answers without a server. A 429 is tried again after its Retry-After. Prints the throughput of one client and of
all, how long requests took, and the server's memory. With --kills the server is ended as by a power
cut (kill -9) and started again so many times during one more round: requests that were under way are
asked again, and nothing else is lost. Needs Python alone.
"""

import argparse
import base64
import collections
import http.client
import json
import pathlib
import queue
import random
import re
import subprocess
import threading
import time

FOLDER = pathlib.Path(__file__).parents[2] / "models/toybox/heldout"
TOKENS = [2, 4, 8, 16, 36, 64, 3, 10, 25, 50]


def read():
    lines = (FOLDER / "questions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines if line]
    # A chat takes questions of one line.
    return [(row["image"], row["text"].splitlines()[0].strip()) for row in rows]


def truth(mqt, cases):
    """What the program itself answers, each question in a conversation of its own: as `mqt ask`
    does it, with one start for each picture instead of one for each question."""
    groups = collections.defaultdict(list)
    for image, text, m in dict.fromkeys(cases):
        groups[image].append((text, m))
    answers = {}
    for image, asked in groups.items():
        lines = "".join(f"/new\n/m {m}\n{text}\n" for text, m in asked)
        line = [mqt, "chat", str(FOLDER / image), "--json", "--adapter", "cpu"]
        done = subprocess.run(line, check=True, capture_output=True, text=True, input=lines)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        for (text, m), record in zip(asked, records, strict=True):
            assert (record["question"], record["image_tokens"]) == (text, m), record
            answers[image, text, m] = record["answer"]
    return answers


class Server:
    def __init__(self, mqt):
        self.mqt, self.port = mqt, "0"
        self.start()
        self.port = self.address.rsplit(":", 1)[1]

    def start(self):
        line = [self.mqt, "serve", "--port", self.port, "--adapter", "cpu", "--quiet"]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        self.address = re.match(r"http://(.*)/v1", self.process.stdout.readline())[1]

    def kill(self):
        """Ends it without a word, and starts it again on the same port; how long it was away."""
        start = time.monotonic()
        self.process.kill()
        self.process.wait()
        self.start()
        return time.monotonic() - start

    def ask(self, connection, case):
        """The answer's text, and how often the queue was full."""
        image, text, m = case
        url = "data:image/png;base64," + base64.b64encode((FOLDER / image).read_bytes()).decode()
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
        messages = [{"role": "user", "content": content}]
        body = json.dumps({"model": "toybox", "messages": messages, "image_tokens": m})
        for refused in range(1000):
            connection.request("POST", "/v1/chat/completions", body)
            response = connection.getresponse()
            reply = json.loads(response.read())
            if response.status == 200:
                return reply["choices"][0]["message"]["content"], refused
            if response.status != 429:
                raise RuntimeError(reply)
            # Not all of them at the same moment.
            time.sleep(int(response.headers["retry-after"]) * random.uniform(0.5, 1.5))
        raise RuntimeError("refused 1000 times")

    def metric(self, name):
        connection = http.client.HTTPConnection(self.address)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])


def run(server, cases, clients, answers, kills=0):
    """Asks all cases from so many clients at once, and kills the server so often meanwhile."""
    waiting, took, faults, refused = queue.Queue(), [], [], []
    cut, away = [], []
    for case in cases:
        waiting.put(case)

    def client():
        connection = http.client.HTTPConnection(server.address, timeout=600)
        while True:
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                return
            start = time.monotonic()
            try:
                text, busy = server.ask(connection, case)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if not kills:
                    faults.append((case, repr(error)))
                    continue
                # Nobody was there, or the request was under way: the client asks again.
                if not isinstance(error, ConnectionRefusedError):
                    cut.append(case)
                waiting.put(case)
                time.sleep(random.uniform(0.05, 0.2))
                continue
            except Exception as error:
                faults.append((case, repr(error)))
                connection.close()
                continue
            took.append(time.monotonic() - start)
            refused.append(busy)
            if text != answers[case]:
                faults.append((case, text, answers[case]))

    def killer():
        for n in range(1, kills + 1):
            while len(took) < len(cases) * n // (kills + 1):
                time.sleep(0.01)
            away.append(server.kill())

    start = time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    threads.append(threading.Thread(target=killer))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - start
    took.sort()
    at = lambda share: took[int(share * (len(took) - 1))] * 1e3
    memory = server.metric("process_resident_memory_bytes") / 1e6
    print(
        f"{clients:4} clients  {len(took)} of {len(cases)} answers  {len(faults)} faults  "
        f"{len(took) / seconds:.1f} requests/s  p50 {at(0.5):.0f} ms  p95 {at(0.95):.0f} ms  "
        f"{sum(refused)} times 429  memory {memory:.0f} MB",
        flush=True,
    )
    if kills:
        print(
            f"      killed {len(away)} times, away {max(away) * 1e3:.0f} ms at most  "
            f"{len(cut)} requests were under way and asked again",
            flush=True,
        )
        if len(cut) > kills * clients:
            faults.append((f"{len(cut)} requests were cut",))
    for fault in faults[:10]:
        print("  ", fault)
    return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mqt")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1, help="how often all of them are asked")
    parser.add_argument("--kills", type=int, default=0, help="how often it is killed in one more")
    args = parser.parse_args()
    pairs = [(*question, m) for m in TOKENS for question in read()]
    cases = [pairs[i % len(pairs)] for i in range(args.requests)]
    answers = truth(args.mqt, cases)
    random.Random(1).shuffle(cases)
    server = Server(args.mqt)
    try:
        faults = run(server, cases[: max(1, args.requests // 10)], 1, answers)
        for _ in range(args.rounds):
            faults += run(server, cases, args.clients, answers)
        if args.kills:
            faults += run(server, cases, args.clients, answers, args.kills)
    finally:
        server.process.terminate()
        code = server.process.wait(60)
    if faults or code != 0:
        raise SystemExit(f"{len(faults)} faults, exit code {code}")


if __name__ == "__main__":
    main()
