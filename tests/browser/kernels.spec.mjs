// Every kernel case of the library, compiled by the browser's own WGSL compiler, beside its CPU
// twin.

import { test, expect } from "./engine.mjs";

test("every kernel equals its twin", async ({ engine }) => {
  const adapter = await engine("open");
  expect(adapter, "Chromium offers no WebGPU adapter").not.toBeNull();
  console.log(
    `adapter: ${JSON.stringify(adapter)}, module loaded in ${Math.round(await engine("loadedMs"))} ms`,
  );

  const names = await engine("kernelCases");
  expect(names.length).toBeGreaterThan(0);
  const failures = [];
  const slow = [];
  for (const [index, name] of names.entries()) {
    const start = performance.now();
    try {
      const { ok, message } = await engine("runKernelCase", index);
      if (!ok) failures.push(`${name}: ${message}`);
    } catch (error) {
      failures.push(`${name}: ${error.message.split("\n")[0]}`);
    }
    slow.push([performance.now() - start, name]);
  }
  slow.sort(([a], [b]) => b - a);
  console.log(`${names.length} kernel cases, ${failures.length} failed`);
  for (const [ms, name] of slow.slice(0, 5)) console.log(`  ${Math.round(ms)} ms  ${name}`);
  expect(failures, failures.join("\n")).toEqual([]);
});
