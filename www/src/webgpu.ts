// What this browser offers for computing, found out without loading anything: which, and if not,
// why and the one step to take.

export interface Probe {
  /** `good`, or why not. */
  verdict: "good" | "weak" | "absent";
  /** For people. */
  reason: string;
  /** What to do about it. */
  step: string;
  adapter?: { name: string; software: boolean };
  limits?: Record<string, number>;
}

/** What the engine asks for: WebGPU's defaults, nothing more. */
const NEEDED: Record<string, number> = {
  maxStorageBufferBindingSize: 134_217_728,
  maxBufferSize: 268_435_456,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
};

function nextStep(): string {
  const agent = navigator.userAgent;
  if (/Firefox\//.test(agent))
    return "In Firefox, open about:config and set dom.webgpu.enabled to true, or update to the newest version.";
  if (/iPhone|iPad/.test(agent))
    return "Update to iOS or iPadOS 26 or newer: Safari has WebGPU from then on.";
  if (/Safari\//.test(agent) && !/Chrom/.test(agent))
    return "Update to Safari 26 or newer, or use Chrome or Edge.";
  if (/Android/.test(agent)) return "Use Chrome 121 or newer on Android 12 or newer.";
  if (/Linux/.test(agent))
    return "In Chrome on Linux, open chrome://flags/#enable-unsafe-webgpu, switch it on and restart the browser.";
  return "Use Chrome or Edge 113 or newer, and switch on “graphics acceleration” in its settings.";
}

export async function probe(): Promise<Probe> {
  if (!isSecureContext)
    return {
      verdict: "absent",
      reason: "This page was opened over an insecure connection, where browsers hide WebGPU.",
      step: "Open it over https, or on localhost.",
    };
  if (!navigator.gpu)
    return { verdict: "absent", reason: "This browser has no WebGPU.", step: nextStep() };
  let adapter: GPUAdapter | null = null;
  try {
    adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    return {
      verdict: "absent",
      reason: `This browser refused its WebGPU: ${(error as Error).message}`,
      step: nextStep(),
    };
  }
  if (!adapter)
    return {
      verdict: "absent",
      reason:
        "The browser has WebGPU, but found no graphics device for it (or it is on the browser's block list).",
      step: nextStep(),
    };
  // Browsers of the first years have no `info`, and parts of it may be missing.
  const info = (adapter.info ?? {}) as Partial<GPUAdapterInfo>;
  const { vendor = "", architecture = "", description = "" } = info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
  const software =
    info.isFallbackAdapter ||
    /swiftshader|llvmpipe|basic render/i.test(`${vendor} ${architecture} ${description}`);
  const limits: Record<string, number> = {};
  const short: string[] = [];
  for (const [limit, need] of Object.entries(NEEDED)) {
    const have = Number((adapter.limits as unknown as Record<string, number>)[limit]);
    limits[limit] = have;
    if (have < need) short.push(`${limit} is ${have}, the engine needs ${need}`);
  }
  const known = { adapter: { name, software }, limits };
  if (short.length > 0)
    return {
      verdict: "weak",
      reason: `${short.join("; ")}.`,
      step: "It may still work for a small model.",
      ...known,
    };
  return { verdict: "good", reason: "", step: "", ...known };
}
