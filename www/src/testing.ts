// What tests, and the curious in the browser's console, may use: `globalThis.mqt`. The rest of the
// page is its own business. `docs/page.md` says the same in words.

import type { Answer, Engine, EngineError, Turn } from "mqt-web";
import { programRecord } from "mqt-web";
import type { Change, Loadable, Page, Picture, Recorded } from "./actions";
import { failed } from "./failures";
import { report } from "./report";

export interface TestInterface {
  /** The loaded model's engine, `undefined` without one. */
  readonly engine: Engine | undefined;
  readonly model: Loadable;
  /** The picture in the frame. */
  readonly picture: Picture | undefined;
  /** All pictures of the conversation, in the order of the prompt. */
  readonly pictures: Picture[];
  /** The conversation about them. */
  readonly turns: Turn[];
  /** Every answer since the page was opened. */
  readonly records: Recorded[];
  startAnew(): Promise<void>;
  /** Loads another model, or the same one in another way. */
  switchTo(change: Change): Promise<void>;
  /** Deals with an error as if the engine had reported it. */
  failed(error: EngineError): void;
  /** What *Copy report* gives. */
  report(): string;
  /** An answer as `mqt ask --json` writes it. */
  programRecord(answer: Answer): unknown;
}

export function offerToTests(page: Page): void {
  const mqt: TestInterface = {
    get engine() {
      return page.engine;
    },
    get model() {
      return page.model;
    },
    get picture() {
      return page.picture;
    },
    get pictures() {
      return page.pictures;
    },
    get turns() {
      return page.turns;
    },
    get records() {
      return page.records;
    },
    startAnew: () => page.startAnew(),
    switchTo: change => page.switchTo(change),
    failed,
    report,
    programRecord,
  };
  Object.assign(globalThis, { mqt });
}
