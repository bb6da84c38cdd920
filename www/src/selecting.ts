// How image tokens are chosen, where the model knows several ways.

import type { Select } from "mqt-web";
import { page } from "./actions";
import { settings } from "./settings";

/** The ways that the loaded model knows, its own first. */
export const ways = (): Select[] => page.engine?.model.selects ?? [];

/** The way that was set, if the loaded model knows it; `undefined` is the model's own. */
export const selected = (): Select | undefined =>
  ways().find(way => way === settings.sampling().select);
