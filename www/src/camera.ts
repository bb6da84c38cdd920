// The camera: switched on by a click, off when its dialog closes. A still for a question; live.ts
// has the rest.

import type { Put } from "./actions";
import { dialog, h, log } from "./dom";
import { remark as say } from "./notices";
import { camera as words } from "./words-later";

export type Facing = "environment" | "user";

/** A picture from the camera on this side; `null` and why not, in words. */
export async function switchOn(facing: Facing): Promise<[MediaStream, ""] | [null, string]> {
  if (!navigator.mediaDevices) return [null, words.insecure];
  try {
    const video = { facingMode: facing };
    return [await navigator.mediaDevices.getUserMedia({ video, audio: false }), ""];
  } catch (error) {
    const { name } = error as Error;
    log(`camera: ${error}`);
    if (name === "NotAllowedError" || name === "SecurityError") return [null, words.denied];
    if (name === "NotReadableError" || name === "AbortError") return [null, words.taken];
    return [null, words.none];
  }
}

export function switchOff(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

export const screen = () =>
  h<HTMLVideoElement>("video", { autoplay: true, muted: true, playsInline: true });

/** What the camera sees now, its longer side at most `most` pixels. */
export function still(video: HTMLVideoElement, most = Infinity): Promise<Blob> {
  const { videoWidth: width, videoHeight: height } = video;
  const scale = Math.min(1, most / Math.max(width, height, 1));
  const [w, h] = [width, height].map(side => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(w!, h!);
  canvas.getContext("2d")?.drawImage(video, 0, 0, w!, h!);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Takes a still. */
export async function openCamera(put: Put): Promise<void> {
  const [stream, problem] = await switchOn("environment");
  if (!stream) return say(problem);
  const video = screen();
  video.srcObject = stream;
  const take = h<HTMLButtonElement>("button.main", { type: "button", disabled: true }, words.take);
  video.addEventListener("loadeddata", () => (take.disabled = false));
  const box = dialog("camera-dialog", words.title, video, h("div.actions", take));
  box.addEventListener("close", () => {
    switchOff(stream);
    box.remove();
  });
  take.addEventListener("click", async () => {
    const blob = await still(video);
    box.close();
    void put(blob, words.picture);
  });
  box.showModal();
}
