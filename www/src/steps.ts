// How far the work before the first token has come: two thin bars, one for the picture and one for
// the question.

import type { Step } from "mqt-web";
import { find } from "./dom";
import { isBusy, onState } from "./state";

const bar = (phase: Step["phase"]) => find<HTMLProgressElement>(`#step-${phase}`);

/**
 * Work before a first token begins: looking at the picture, or that is done and the question is
 * read.
 */
export function begin(phase: Step["phase"]): void {
  bar("encoding").value = phase === "encoding" ? 0 : 1;
  bar("prefilling").value = 0;
  find("#steps").hidden = false;
}

/** Draws a step; it may come late, when the work is over. */
export function show({ phase, share }: Step): void {
  if (!isBusy() || find("#steps").hidden) return;
  bar(phase).value = share;
  if (phase === "prefilling") bar("encoding").value = 1;
}

/** The first token is there, or nothing comes. */
export function end(): void {
  find("#steps").hidden = true;
}

onState(() => {
  if (!isBusy()) end();
});
