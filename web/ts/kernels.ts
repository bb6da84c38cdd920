// Which variants of kernels were fastest on this device, remembered between visits. A cache: without storage it is empty.

type Choices = Record<string, Record<string, string>>;

const KEY = "mqt-kernels";

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whatever else lies under the key was not written by this version. */
const isChoices = (value: unknown): value is Choices =>
  isObject(value) && Object.values(value).every((kernels) => isObject(kernels) && Object.values(kernels).every((variant) => typeof variant === "string"));

/** By adapter. */
export function read(): Choices {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return isChoices(stored) ? stored : {};
  } catch {
    return {};
  }
}

export function remember(choices: Choices): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...read(), ...choices }));
  } catch {
    // No storage: measured again next time.
  }
}
