"""A second process that computes the gradient of half of every batch and makes half of every update.

Two threads inside every operation wait for each other thousands of times a step, and on a machine that others use too
each wait is as long as their turn. Two processes of one thread each wait once a step. On a GPU there is no twin.
"""

import os
import signal

import torch
import torch.multiprocessing as mp


class Twin:
    """`loss_of(half)` is called here and, with the other half, in the twin; parameters, gradients and momenta lie in shared memory.

    `opts` is what `optimiser.make` returns. Make the twin before the first backward pass of this process, after loading what
    was saved and with one thread: it forks.
    """

    def __init__(self, params, opts, loss_of, alone=False):
        self.params, self.opts, self.loss_of, self.alone, self.broken = params, opts, loss_of, alone, 0
        if alone:
            return
        for p in params:
            p.share_memory_()
        opts[0].share()
        self.grads = [torch.zeros_like(p).share_memory_() for p in params]
        context = mp.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=self.serve, args=(theirs, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()

    def backward(self, half):
        for p in self.params:
            p.grad = None
        loss = self.loss_of(half)
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
            order, what = pipe.recv()
            if order == "stop":
                return
            if order == "gradient":
                loss = self.backward(what)
                for p, g in zip(self.params, self.grads):
                    g.zero_() if p.grad is None else g.copy_(p.grad)
                pipe.send(loss.item())
            else:
                for p, g in zip(self.params, self.grads):
                    p.grad = g
                for group, rate in zip(self.opts[0].param_groups, what):
                    group["lr"] = rate
                self.opts[0].step(part=1)
                pipe.send(None)

    def answer(self):
        while not self.pipe.poll(20):
            if not self.process.is_alive():
                raise RuntimeError("the twin process died; its error is printed above")
        return self.pipe.recv()

    def gradient(self, halves, shares):
        """Leaves the mean gradient of the halves, weighted by their sizes, in the parameters' `grad`; returns the mean loss."""
        if self.alone:
            return self.backward(halves[0])
        self.pipe.send(("gradient", halves[1]))
        loss = self.backward(halves[0])
        other, share = self.answer(), shares[1] / sum(shares)
        for p, g in zip(self.params, self.grads):
            g.mul_(share)
            if p.grad is not None:
                g.add_(p.grad, alpha=1 - share)
            p.grad = g
        return loss.lerp(torch.as_tensor(other), share)

    def step(self, clip):
        """One update from the parameters' gradients, clipped to the norm `clip`. One that is no number is left out; ten are an error."""
        if not torch.nn.utils.clip_grad_norm_(self.params, clip).isfinite():
            self.broken += 1
            if self.broken == 10:
                raise RuntimeError("the gradient is no number for the tenth time; what was saved last is good")
            return
        if self.alone:
            [opt.step() for opt in self.opts]
            return
        self.pipe.send(("step", [group["lr"] for group in self.opts[0].param_groups]))
        self.opts[0].step(part=0)
        self.opts[1].step()
        self.answer()

    def stop(self):
        if not self.alone:
            self.pipe.send(("stop", None))
            self.process.join()
