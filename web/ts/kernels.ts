// What was learned about this device, remembered between visits: which variants of kernels were
// fastest, and how many pipelines each model takes. A cache: without storage it is empty.

import type { Kernels } from "./generated";

const KEY = "mqt-kernels";

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isAllOf = (value: unknown, type: "string" | "number"): boolean =>
  isObject(value) && Object.values(value).every(entry => typeof entry === type);

/** Whatever else lies under the key was not written by this version. */
const isKernels = (value: unknown): value is Kernels =>
  isObject(value) &&
  Object.values(value).every(
    (learned: unknown) =>
      isObject(learned) &&
      "variants" in learned &&
      isAllOf(learned.variants, "string") &&
      "pipelines" in learned &&
      isAllOf(learned.pipelines, "number"),
  );

export function read(): Kernels {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return isKernels(stored) ? stored : {};
  } catch {
    return {};
  }
}

export function remember(kernels: Kernels): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...read(), ...kernels }));
  } catch {
    // No storage: measured again next time.
  }
}
