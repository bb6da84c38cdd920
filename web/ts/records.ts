// Records as the program prints them: the same fields, their names in snake_case.

import type { Answer, BenchReport } from "./generated";

/** Fields whose keys are data, and stay as they are. */
const MAPS = ["variants"];

const snakeCase = (name: string) => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);

function renamed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(renamed);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, inner]) => [
    snakeCase(name),
    MAPS.includes(name) ? inner : renamed(inner),
  ]);
  return Object.fromEntries(entries);
}

/** An answer as `mqt.answer/1`, a benchmark's report as `mqt.bench/1`: for files and other programs. */
export const programRecord = (record: Answer | BenchReport) =>
  renamed(record) as Record<string, unknown>;
