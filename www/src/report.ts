// Diagnostics, and the same as text for a report. The picture is never part of it, only its hash.

import { app } from "./app";
import { bytes, copy, dialog, find, h, logged } from "./dom";
import { state } from "./state";

let box: HTMLDialogElement | undefined;

interface Fact {
  name: string;
  value: string;
}

function facts(): Fact[] {
  const { engine, seen, picture } = app;
  const model = engine?.model;
  const list: [string, string | undefined][] = [
    ["State", state()],
    ["Model", model && `${model.name} ${model.weights}, ${model.image_tokens_max} image tokens, context ${model.context} of ${model.context_max}`],
    ["Model SHA-256", model?.sha256],
    ["Adapter", model ? `${model.adapter.name} (${model.adapter.backend}, ${model.adapter.kind})` : seen?.adapter?.name],
    ["Arithmetic", model?.arithmetic],
    ["Picture", picture?.view && `${picture.view.width} × ${picture.view.height}, hash ${picture.view.hash.slice(0, 16)}`],
    ["Limits", seen?.limits && Object.entries(seen.limits).map(([name, value]) => `${name} ${value}`).join(", ")],
    ["Browser", navigator.userAgent],
    ["Online", String(navigator.onLine)],
  ];
  return list.flatMap(([name, value]) => (value ? [{ name, value }] : []));
}

/** What happened, as Markdown. */
export function report(): string {
  const answers = app.records.slice(-10).map(({ question, answer: a }) => {
    const ms = Object.entries(a.timings_ms).map(([stage, value]) => `${stage} ${value.toFixed(1)}`);
    return `- ${JSON.stringify(question)} → ${JSON.stringify(a.answer)} · m=${a.image_tokens} (${a.image_tokens_mode}) · ${a.finish_reason} · vision runs ${a.vision_runs} · ms: ${ms.join(", ")} · ids ${a.token_ids.join(" ")}`;
  });
  return ["## mqt in the browser", ...facts().map(({ name, value }) => `- ${name}: ${value}`), "", "### Answers", ...answers, "", "### Log", "```", ...logged(), "```", ""].join("\n");
}

export async function openDiagnostics(): Promise<void> {
  const button = h("button.main", { type: "button" }, "Copy report");
  button.onclick = () => void copy(report(), button);
  box ??= dialog("diagnostics", "Diagnostics", h("dl#facts"), h("h3", "Log"), h("pre#log", { tabIndex: 0, role: "region", "aria-label": "Log" }), h("p.small", "The report holds questions and answers, and the picture's hash; not the picture."), h("div.actions.end", button));
  const memory = await app.engine?.memory().catch(() => undefined);
  const sizes = memory ? [{ name: "WebAssembly memory", value: bytes(memory.wasmBytes) }] : [];
  if (memory?.gpuBytes) sizes.push({ name: "Device memory", value: bytes(memory.gpuBytes) });
  const all = [...facts(), ...sizes];
  find("#facts").replaceChildren(...all.flatMap(({ name, value }) => [h("dt", name), h("dd", value)]));
  find("#log").textContent = logged().join("\n");
  box.showModal();
}
