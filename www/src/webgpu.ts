// What this browser offers for computing, found out without loading anything: which, and if not,
// why and the one step to take.

import { webgpu as words } from "./words";

export interface Probe {
  /** `good`, or why not. */
  verdict: "good" | "weak" | "absent";
  /** For people. */
  reason: string;
  /** What to do about it. */
  step: string;
  adapter?: { name: string; software: boolean };
  limits?: Record<string, number>;
  /** Optional features, as WebGPU names them. */
  features?: string[];
  /** All that the browser says of the adapter. */
  driver?: string;
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
  if (/Firefox\//.test(agent)) return words.firefox;
  if (/iPhone|iPad/.test(agent)) return words.iphone;
  if (/Safari\//.test(agent) && !/Chrom/.test(agent)) return words.safari;
  if (/Android/.test(agent)) return words.android;
  if (/Linux/.test(agent)) return words.linux;
  return words.other;
}

export async function probe(): Promise<Probe> {
  if (!isSecureContext)
    return {
      verdict: "absent",
      reason: words.insecure,
      step: words.insecureStep,
    };
  if (!navigator.gpu) return { verdict: "absent", reason: words.none, step: nextStep() };
  let adapter: GPUAdapter | null = null;
  try {
    adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    return {
      verdict: "absent",
      reason: words.refused((error as Error).message),
      step: nextStep(),
    };
  }
  if (!adapter)
    return {
      verdict: "absent",
      reason: words.noDevice,
      step: nextStep(),
    };
  // Browsers of the first years have no `info`, and parts of it may be missing.
  const info = (adapter.info ?? {}) as Partial<GPUAdapterInfo>;
  const { vendor = "", architecture = "", description = "" } = info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || words.unnamed;
  const software =
    info.isFallbackAdapter ||
    /swiftshader|llvmpipe|basic render/i.test(`${vendor} ${architecture} ${description}`);
  const limits: Record<string, number> = {};
  const short: string[] = [];
  for (const [limit, need] of Object.entries(NEEDED)) {
    const have = Number((adapter.limits as unknown as Record<string, number>)[limit]);
    limits[limit] = have;
    if (have < need) short.push(words.limit(limit, have, need));
  }
  const { device = "" } = info;
  const driver = [vendor, architecture, device, description].filter(Boolean).join(" · ");
  const features = [...adapter.features].sort();
  const known = { adapter: { name, software }, limits, features, driver };
  if (short.length > 0)
    return {
      verdict: "weak",
      reason: `${short.join("; ")}.`,
      step: words.weakStep,
      ...known,
    };
  return { verdict: "good", reason: "", step: "", ...known };
}
