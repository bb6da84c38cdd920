// The benchmark panel: how fast this device is, by the harness of `mqt bench`.

import { type BenchReport, EngineError, programRecord, shown } from "mqt-web";
import { app } from "./app";
import { bytes, copy, dialog, find, h, log, seconds } from "./dom";
import { failed } from "./failures";
import { overTokens } from "./plot";
import { isBusy } from "./state";

let box: HTMLDialogElement | undefined;
let running: AbortController | undefined;
let report: BenchReport | undefined;

/** Opens the panel; nothing runs before somebody presses *Run*. */
export function open(): void {
  box ??= build();
  refresh();
  box.showModal();
}

function build(): HTMLDialogElement {
  const run = h("button.main#bench-run", { type: "button", onclick: () => void measure() }, "Run");
  const stop = h("button#bench-stop", { type: "button", onclick: () => running?.abort() }, "Stop");
  const text = h("button#bench-copy", { type: "button" }, "Copy JSON");
  text.onclick = () => void copy(JSON.stringify(report && programRecord(report), null, 2), text);
  const made = dialog(
    "benchmark",
    "Benchmark",
    h(
      "p",
      "Measures the loaded model on this device: the tower, prompts, generation, and the wait for the first token with different numbers of image tokens. Close other programs first.",
    ),
    h("p#bench-line.small", { role: "status" }),
    h("div#bench-result"),
    h("div.actions.end", text, stop, run),
  );
  made.addEventListener("close", () => running?.abort());
  return made;
}

function refresh(line?: string): void {
  const able = app.engine !== undefined && !isBusy() && !running;
  find<HTMLButtonElement>("#bench-run").disabled = !able;
  find<HTMLButtonElement>("#bench-stop").disabled = !running;
  find<HTMLButtonElement>("#bench-copy").disabled = !report || running !== undefined;
  const why = !app.engine
    ? "Load a model first: ask something."
    : isBusy()
      ? "The model is busy with an answer."
      : "";
  find("#bench-line").textContent = line ?? (running ? "" : why);
}

async function measure(): Promise<void> {
  const { engine } = app;
  if (!engine || running) return;
  running = new AbortController();
  refresh("warm-up …");
  let line = "";
  try {
    report = await engine.bench({
      signal: running.signal,
      onProgress: what => refresh(`${what} …`),
    });
    find("#bench-result").replaceChildren(...draw(report));
    line = "Medians of this run.";
  } catch (error) {
    const problem = EngineError.from(error);
    log(`benchmark: ${problem.code} ${problem.message}`);
    line = problem.code === "cancelled" ? "Stopped." : shown(problem.message);
    if (["device-lost", "internal"].includes(problem.code)) failed(problem);
  } finally {
    running = undefined;
    refresh(line);
  }
}

const three = (value: number) =>
  Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });

function draw(r: BenchReport): HTMLElement[] {
  const c = r.ceilings;
  const rate = (value: number | null, unit: string) =>
    value === null ? undefined : `${three(value)} ${unit}`;
  const rows: [string, string | undefined][] = [
    [
      "Where",
      r.adapter.kind === "cpu"
        ? "processor"
        : shown(`${app.seen?.adapter?.name ?? r.adapter.name} (${r.adapter.backend})`, 200),
    ],
    [
      "Model",
      `${shown(r.model.name, 100)} ${r.model.weights}, ${bytes(r.model.bytesPerToken)} read per token`,
    ],
    ["Device reads", rate(c.readGbS, "GB/s")],
    ["Device computes", rate(c.fmaF32GflopS, "GFLOP/s in f32")],
    ["Picture", r.vision ? seconds(r.vision.ms + (r.resampleMs ?? 0)) : undefined],
    ...r.prefill.map((p): [string, string] => [
      `Prompt of ${p.tokens}`,
      `${seconds(p.ms)}, ${three(p.tokensPerSecond)} tokens/s`,
    ]),
    ...r.decode.map((d): [string, string] => [
      `Writing at ${d.context}`,
      `${three(d.tokensPerSecond)} tokens/s`,
    ]),
    ["Weights to the device", seconds(r.startupMs.weights)],
    ["Kernels compiled", seconds(r.startupMs.pipelines + r.startupMs.warmUp)],
    ["Memory at the peak", r.gpuBytesPeak > 0 ? bytes(r.gpuBytesPeak) : undefined],
  ];
  const list = h(
    "dl",
    ...rows.flatMap(([name, value]) =>
      value === undefined ? [] : [h("dt", name), h("dd", value)],
    ),
  );
  const points = r.firstToken.map(f => ({ m: f.imageTokens, ms: f.ms }));
  if (points.length < 2) return [list];
  const plot = h(
    "div.plot",
    h("p.small", "From a new picture and a question to the first token, by image tokens"),
  );
  plot.append(overTokens(points, "Time to the first token"));
  return [list, plot];
}
