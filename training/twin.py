"""A second process that computes the gradient of half of every batch.

Two threads inside every operation wait for each other thousands of times a step, and on a machine that others use too
each wait is as long as their turn. Two processes of one thread each wait once a step. On a GPU there is no twin.
"""

import os
import signal

import torch
import torch.multiprocessing as mp


class Twin:
    """`loss_of(half)` is called here and, with the other half, in the twin; parameters and the twin's gradients lie in shared memory.

    Make it before the first backward pass of this process and with one thread: it forks.
    """

    def __init__(self, params, loss_of, alone=False):
        self.params, self.loss_of, self.alone = params, loss_of, alone
        if alone:
            return
        for p in params:
            p.share_memory_()
        self.grads = [torch.zeros_like(p).share_memory_() for p in params]
        context = mp.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=self.serve, args=(theirs, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()

    def backward(self, half):
        loss = self.loss_of(half)
        for p in self.params:
            p.grad = None
        loss.backward()
        return loss.detach()

    def serve(self, pipe, parent):
        self.pipe.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(1)
        while True:
            while not pipe.poll(20):
                if os.getppid() != parent:  # killed, not stopped
                    return
            half = pipe.recv()
            if half is None:
                return
            loss = self.backward(half)
            for p, g in zip(self.params, self.grads):
                g.zero_() if p.grad is None else g.copy_(p.grad)
            pipe.send(loss.item())

    def gradient(self, halves, shares):
        """Leaves the mean gradient of the halves, weighted by their sizes, in the parameters' `grad`; returns the mean loss."""
        if self.alone:
            return self.backward(halves[0])
        self.pipe.send(halves[1])
        loss = self.backward(halves[0])
        while not self.pipe.poll(20):
            if not self.process.is_alive():
                raise RuntimeError("the twin process died; its error is printed above")
        other = self.pipe.recv()
        share = shares[1] / sum(shares)
        for p, g in zip(self.params, self.grads):
            p.grad = g * share if p.grad is None else p.grad.lerp_(g, share)
        return loss.lerp(torch.as_tensor(other), share)

    def stop(self):
        if not self.alone:
            self.pipe.send(None)
            self.process.join()
