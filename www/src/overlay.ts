// The map that lies over the picture in the frame, if one does: what an answer looked at.
// `glance.ts` makes it when somebody asks for it.

import type { Answer } from "mqt-web";
import type { Picture } from "./actions";

export interface Overlay {
  answer: Answer;
  /** The pictures that there is a map of. */
  pictures: Picture[];
  /** The one that was looked at most. */
  most: Picture;
  /** Draws a picture with its map, and says it in words. */
  draw(picture: Picture): void;
}

let laid: Overlay | undefined;
const listeners: (() => void)[] = [];

export const overlay = () => laid;

/** Calls `listener` when a map came or went. */
export const onOverlay = (listener: () => void) => void listeners.push(listener);

/** Lays a map over the picture, or takes the one away that is there. */
export function lay(next?: Overlay): void {
  if (laid === next) return;
  laid = next;
  for (const listener of listeners) listener();
}
