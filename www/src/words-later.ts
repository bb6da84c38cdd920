// The texts of what a button loads: the same kind of file as `words.ts`, fetched with the first of
// those scripts.

import { count } from "./dom";

export const camera = {
  title: "Camera",
  take: "Take photo",
  picture: "camera picture",
  none: "There is no camera on this device.",
  denied:
    "This page may not use the camera. Allow it in the browser's settings for this page, then try again.",
  taken: "The camera cannot be switched on: another program may be using it.",
  insecure:
    "Over an insecure connection browsers hide the camera: open the page over https, or on localhost.",
};

export const live = {
  title: "Live captions",
  ask: "Question",
  question: "What do you see?",
  counts: "Image tokens",
  start: "Start",
  stop: "Stop",
  load: (size: string) => `Start (downloads ${size})`,
  loading: "Loading the model …",
  turn: "Other camera",
  rate: (frames: string, rate: string, m: number) =>
    `${frames} frames/s · ${rate} tokens/s · ${count(m, "image token")} each`,
  nothing: "(no words)",
  hidden: "Stopped, because the page was out of sight. The camera is off.",
  ended: "The camera was switched off or taken away.",
  scenes: "toybox only understands toy scenes: show the camera drawn shapes, not a room.",
};

export const models = {
  title: "Another model",
  intro: "Models that this engine runs:",
  line: (size: string, needs: string) => `${size}; needs ${needs}.`,
  licence: (name: string) => `Licence: ${name}.`,
  how: "How to get it",
  howMore: "With the mqt program, then put the folder on a server or choose it below:",
  useBundled: (size: string) => `Use toybox (${size})`,
  note: "The page fetches a model from the address you give, and from nowhere else; that server has to allow it (CORS).",
  address: "Address of a model's manifest.json",
  look: "Check",
  files: "Files of a model",
  folder: "Folder of a model",
  fromDisk: "files from disk",
};

export const storage = {
  title: "Storage on this device",
  loading: "It is being loaded: stop that first.",
  failed: (why: string) => `It could not be deleted: ${why}`,
  whole: (size: string) => `${size}, complete; checked for damage at every start`,
  part: (size: string, all: string) => `${size} of ${all} are here`,
  remove: "Delete",
  removeLabel: (name: string) => `Delete ${name}`,
  none: "No model is stored.",
  uses: (used: string, allowed: string) =>
    `In all this page uses ${used}; the browser allows ${allowed}.`,
  rest: (size: string) =>
    `${size} of that are the page itself, kept for use without a network, and what the browser adds.`,
  restStays: "To remove those too, delete this page's data in the browser's settings.",
  all: "Delete everything",
  sure: "Delete every model, encoded picture and conversation that is listed here, clear the conversation on the page, and reset the settings?",
  allSure: "Delete",
  cancel: "Cancel",
  gone: (pictures: number, model: boolean) => {
    const picture = pictures === 1 ? "The picture in the frame" : "The pictures in hand";
    const what = [pictures > 0 && picture, model && "the loaded model"].filter(Boolean);
    const stays = what.length === 1 && pictures < 2 ? "stays" : "stay";
    if (what.length === 0) return "Deleted.";
    const text = `${what.join(" and ")} ${stays} until you close the page.`;
    return `Deleted. ${text[0]!.toUpperCase()}${text.slice(1)}`;
  },
  kept: "The browser keeps what is stored until you delete it.",
  notKept: "The browser may delete what is stored when the disk is full.",
  keep: "Ask the browser to keep it",
  history: (n: number) => (n === 1 ? "Last conversation" : `Last ${n} conversations`),
  historyIs: (answers: number, compared: number, pictures: number, size: string) =>
    [
      (answers > 0 || compared === 0) && count(answers, "answer"),
      compared > 0 && count(compared, "comparison"),
      pictures === 1 ? "the picture" : count(pictures, "picture"),
    ]
      .filter(Boolean)
      .concat(size)
      .join(", "),
  historyNone: "No conversation is stored.",
  pictures: "Encoded pictures",
  picturesAre: (n: number, size: string) =>
    `${count(n, "picture")}, ${size}: what the model made of them, so that it need not look again`,
};

export const benchmark = {
  title: "Benchmark",
  run: "Run",
  stop: "Stop",
  json: "Copy JSON",
  what: "Measures the loaded model on this device: image encoding, prompts, generation, and the wait for the first token with different numbers of image tokens. Close other programs first.",
  noModel: "Load a model first: ask something.",
  busy: "The model is busy with an answer.",
  warmUp: "warm-up …",
  medians: "Medians of this run.",
  stopped: "Stopped.",
  rows: {
    where: "Device",
    model: "Model",
    read: "Memory bandwidth",
    compute: "Compute",
    picture: "Picture",
    weights: "Upload weights",
    kernels: "Compile kernels",
    memory: "Peak memory",
  },
  prompt: (n: number) => `Prompt, ${count(n, "token")}`,
  generation: (context: number) => `Generation at ${context}`,
  perToken: (name: string, weights: string, size: string) =>
    `${name} ${weights}, ${size} read per token`,
  flops: "GFLOP/s in f32",
  plot: "From a new picture and a question to the first token, by image tokens",
  plotLabel: "Time to the first token",
};

export const about = {
  title: "About",
  what: "mqt runs vision-language models in this browser. A picture becomes a fixed row of image tokens, the most telling ones first, so that any number of them can be taken.",
  paper: "The paper: Matryoshka Query Transformer for Large Vision-Language Models",
  source: "Source code",
  card: "What toybox can do: its model card",
  licence: "Licence of program and toybox: MIT or Apache-2.0",
  private:
    "Pictures, questions and answers stay on this device. The page asks no other server for anything unless you give it an address.",
  keys: "Keys",
  keyList: [
    ["Enter", "ask"],
    ["Shift + Enter", "new line"],
    ["Esc", "stop, or close a dialog"],
    ["[ and ]", "fewer or more image tokens"],
    ["Ctrl + V", "paste a picture or its address"],
  ],
  version: (version: string, commit: string) => `Version ${version}${commit && `, ${commit}`}`,
};

export const exported = {
  title: (pictures: string[]) => `# A conversation about ${pictures.join(", ")}`,
  pictures: (names: string[]) => `About: ${names.join(", ")}`,
  question: (n: number, text: string) => `${n}. **${text}**`,
  compared: (n: number) => `${n}. A comparison`,
  facts: (m: number, pictures: number, percent: string, isDraft: boolean) =>
    `(${isDraft ? "a draft, refined below; " : ""}${count(m, "image token")}${pictures > 1 ? ` × ${pictures} pictures` : ""}${percent})`,
  confidence: (percent: number, isLow: boolean) =>
    `, confidence ${percent} %${isLow ? ", which is low" : ""}`,
  nothing: "There is nothing to save yet.",
};

export const composer = {
  title: "Make a scene",
  label: "Scene. Tab chooses a thing, arrows move it, plus and minus size it, Delete removes it",
  things: "Things to add",
  thingsMore: "Things: press one, or drag it onto the scene",
  colour: "Colour",
  colours: "Shape colour",
  background: "Background",
  ground: (name: string, n: number) => (n > 1 ? `${name} ground ${n}` : `${name} ground`),
  use: "Use this scene",
  larger: "Larger",
  smaller: "Smaller",
  remove: "Remove",
  surprise: "Surprise me",
  clear: "Clear",
  add: (name: string) => `Add: ${name}`,
  nothing: "nothing yet",
  tooMany: (most: number) => ` The model was trained with up to ${most} things.`,
  lost: (names: string) => ` Could not be fetched: ${names}. Are you offline?`,
  chosen: (what: string, where: string) => ` Chosen: ${what}, ${where}.`,
  inScene: (list: string) => `In the scene: ${list}.`,
  rows: ["top", "", "bottom"],
  columns: ["left", "", "right"],
  middle: "middle",
};

export const fetched = {
  title: "A picture from the web",
  label: "Address of a picture",
  fetch: "Load",
  note: "The page asks that server for the picture, without cookies and without saying where you come from; nothing else is sent. The server has to allow it (CORS).",
  noAddress: "That is not the address of a picture.",
  thePicture: "the picture",
  fetching: (name: string) => `Loading ${name} …`,
  thisAddress: "this address",
  offline: "There is no network. The picture was not loaded.",
  unreachable: (host: string) =>
    `${host} cannot be reached, or does not let other pages read its pictures (CORS). Save the picture, then choose the file.`,
  answered: (host: string, code: number) =>
    `${host} answered ${code}: there is no picture at that address.`,
  noPicture: (host: string) => `What ${host} sends from there isn't a picture.`,
  tooLarge: (host: string) => `What ${host} sends from there is too large for a picture.`,
  noBase64: "Only pictures in base64 can be pasted as text.",
  badBase64: "That text is not a picture in base64.",
};

export const offer = {
  room: (size: string) => ` This browser has room for ${size}.`,
  download: (missing: string, all: string | undefined, host: string, room: string) =>
    `${missing} to download${all ? `, of ${all} in all` : ""}, from ${host}. It is stored on this device and needs no network afterwards.${room}`,
  button: (size: string) => `Download ${size}`,
  unreachable: "That model cannot be reached",
  offline: "No network",
  nothing: "Nothing was downloaded.",
  again: "Try again",
  keep: "Keep current model",
};
