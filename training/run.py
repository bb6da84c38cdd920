"""What every training stage needs of the machine: a clock, worker processes, mixed precision, safe files, sizes."""

import json
import os
import queue
import signal
import time
from dataclasses import dataclass

import torch
import torch.multiprocessing as mp


@dataclass
class Plan:
    """Batch sizes and worker counts; `for_device` gives those that suit it."""
    workers: int = 1
    twins: int = 2  # processes that share a batch
    tower_batch: int = 128
    tower_patches: int = 28  # of each picture, until the rate comes down
    tower_lr: float = 1.5e-3
    tower_log: int = 50  # steps
    held: int = 200  # held-out pictures that accuracy is measured on while training
    pool: int = 64  # rendered batches kept on the device
    reuse: int = 3  # steps per rendered batch
    pictures: int = 30_000  # whose features the language stage asks about
    feature_batch: int = 200
    language_pictures: int = 16  # a step
    questions: int = 16  # a picture
    language_lr: float = 2e-3
    language_log_seconds: float = 100.0

    def shares(self, batch):
        """How the processes share a batch."""
        return [batch] if self.twins == 1 else [batch - batch // 2, batch // 2]

    @staticmethod
    def for_device(device):
        if device.type != "cuda":
            return Plan()
        # Workers draw far slower than the device learns: each picture is seen a few times, in ever other company.
        return Plan(twins=1, workers=max(1, (os.cpu_count() or 2) - 1), tower_batch=512, tower_log=500, pool=400, reuse=4, pictures=250_000,
                    feature_batch=1000, language_pictures=192, language_log_seconds=20.0)


class Clock:
    """Seconds of work against the stage's budget, and a wall-clock limit for this call of the program.

    On a CPU it counts the main thread's processor time, so that pauses and other programs cost nothing; elsewhere wall-clock.
    """

    def __init__(self, device, budget_seconds, stop_at):
        self.now = time.thread_time if device.type == "cpu" else time.monotonic
        self.budget, self.stop_at = budget_seconds, stop_at
        self.spent, self.last = 0.0, None
        signal.signal(signal.SIGTERM, lambda *_: self.stop())

    def stop(self):
        """Ends this call after the step under way, as `stop_at` does; `kill` asks for it."""
        self.stop_at = 0.0

    def tick(self):
        """Call once a step: counts the time since the last call; False when the stage is finished or must stop."""
        now = self.now()
        if self.last is not None:
            self.spent += now - self.last
        self.last = now
        return not self.finished() and time.monotonic() < self.stop_at

    def share(self):
        return min(1.0, self.spent / self.budget)

    def finished(self):
        return self.spent >= self.budget


def _work(maker, out, first, stride):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    maker.start()
    i = first
    while True:
        made = maker.make(i)
        while True:
            try:
                out.put(made, timeout=20)
                break
            except queue.Full:
                if not mp.parent_process().is_alive():  # killed, not stopped
                    return
        i += stride


class Workers:
    """`maker.make(first)`, `make(first + 1)`, ... in order, made by `count` processes side by side."""

    def __init__(self, maker, count, first=0, ahead=4):
        context = mp.get_context("fork")
        self.queues = [context.Queue(ahead) for _ in range(count)]
        self.next = 0
        self.processes = [context.Process(target=_work, args=(maker, q, first + i, count), daemon=True) for i, q in enumerate(self.queues)]
        [p.start() for p in self.processes]

    def get(self):
        """The next one; fails loudly if its worker has died."""
        worker, self.next = self.next % len(self.queues), self.next + 1
        while True:
            try:
                return self.queues[worker].get(timeout=20)
            except queue.Empty as error:
                if not self.processes[worker].is_alive():
                    raise RuntimeError("a worker process died; its error is printed above") from error

    def stop(self):
        [p.terminate() for p in self.processes]
        [p.join() for p in self.processes]


def log(run, **line):
    """One line of the run's diary, printed and kept in log.jsonl."""
    text = json.dumps(line)
    print(text, flush=True)
    with open(f"{run}/log.jsonl", "a") as f:
        f.write(text + "\n")


def autocast(device):
    return torch.autocast(device.type, torch.bfloat16)


def keep(state, path):
    """Saves so that a kill at any moment leaves the old or the new file whole."""
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)
