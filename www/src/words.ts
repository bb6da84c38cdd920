// Every text that the page shows at first; `words-later.ts` has those of what a button loads. A
// translation is two other files like these.
// `index.html` takes its texts from here when the page is built ({{group.name}}). Numbers come
// formatted from dom.ts. What the engine says of an error is the engine's.

import type { Why } from "mqt-web";

const count = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

const every = (pictures: number) => (pictures === 2 ? "both pictures" : `all ${pictures} pictures`);

export const head = {
  copied: "Copied",
  copyRefused: "The browser refused",
  close: (title: string) => `Close ${title}`,
  notLoaded: "This part of the page could not be loaded. Are you offline?",
};

/** Texts that stand in `index.html` only: the page's script does not carry them. */
export const markup = {
  chipsHint: "The model. Press to choose another one.",
  headAbout: "About",
  headBenchmark: "Benchmark",
  headDescription:
    "Ask about a picture, on your own device. Choose how much of it the model reads.",
  headDiagnostics: "Diagnostics",
  headJson: "Save as JSON",
  headMarkdown: "Save as Markdown",
  headModel: "Model",
  headMore: "More",
  headNoScript: "This page needs JavaScript: the model runs in it.",
  headOffline: "offline",
  headPanels: "Panels",
  headSettings: "Settings",
  headSkip: "To the question",
  headStorage: "Storage",
  headTitle: "mqt: ask about a picture",
  knobExact: "Exact number, 1 and up",
  knobLittle: "read little",
  knobMuch: "read most",
  knobNote:
    "How many pieces of the picture the model reads. Few are fast, many see detail; the picture isn't processed again.",
  knobOpacity: "Opacity",
  knobShown: "Show token (0 = all)",
  knobTitle: "Image tokens",
  lookedHide: "Hide map",
  lookedLittle: "looked at little",
  lookedMuch: "most",
  lookedNote:
    "This map is of this answer and this picture. “Where tokens look” is another one: the model's own, the same for every picture.",
  pictureAdd: "Add a picture to this conversation",
  pictureAll: "Pictures of this conversation",
  pictureAttention: "Where tokens look",
  pictureCompose: "Make a scene…",
  pictureDropHere: "Drop a picture here",
  pictureDropMore: "or choose one above",
  pictureFile: "Choose a file",
  pictureLink: "Link",
  pictureLive: "Live captions…",
  pictureOriginal: "Original",
  pictureOwn: "Your picture",
  picturePaste: "Paste",
  pictureSamples: "Sample pictures",
  pictureSection: "Picture",
  pictureViews: "How the picture is shown",
  settingsClose: "Done",
  settingsCloseLabel: "Close Settings",
  settingsHistory: "Keep conversations on this device",
  settingsModelDefault: "Model default",
  settingsMost: "Longest answer (tokens)",
  settingsNote:
    "Settings are kept on this device until you reset them. A link with settings overrides them for that visit.",
  settingsRepetition: "Repetition penalty",
  settingsReset: "Reset",
  settingsSeed: "Seed",
  settingsSelect: "How image tokens are chosen",
  settingsStop: "Stop text",
  settingsSystem: "System prompt",
  settingsTarget: "Auto: target for the first token (s)",
  settingsTemperature: "Temperature",
  settingsTitle: "Settings",
  settingsTopK: "Top-k (0 = off)",
  settingsTopP: "Top-p",
  talkAnew: "New conversation",
  talkAsk: "Ask",
  talkChips: "Example questions",
  talkCompare: "Compare token counts",
  talkEmpty: "What would you like to know?",
  talkEmptyMore: "Type a question, or press one below. Everything runs on this device.",
  talkLooking: "Looking at the picture",
  talkPlaceholder: "Ask about the picture",
  talkQuestion: "Question",
  talkReading: "Reading the question",
  talkRegion: "Questions and answers",
  talkSection: "Conversation",
  talkSpoken: "Answers, spoken",
  talkStop: "Stop",
};

/** The status line. */
export const status = {
  "first-visit": "no model loaded yet",
  "no-webgpu": "no WebGPU; the CPU works",
  "weak-adapter": "this graphics adapter is below what the engine is built for",
  "saving-data": "the download waits, to save data",
  // One thing for those who hear it: it is announced once.
  downloading: "loading the model",
  paused: "download paused",
  verifying: "loading the model",
  uploading: "loading the model",
  compiling: "loading the model",
  ready: "ready",
  encoding: "looking at the picture",
  answering: "answering",
  live: "describing what the camera sees",
  mapping: "finding what the answer looked at",
  stopped: "stopped; the text is kept",
  "context-full": "the conversation is full",
  "out-of-memory": "out of memory",
  "device-lost": "the graphics device went away",
  offline: "waiting for the network",
  "storage-full": "no room to store the model",
  "bad-shard": "a file of the model is damaged",
  "bad-model": "the model's tensors do not fit",
  "internal-error": "an internal error ended the engine",
  "second-tab": "the model is open in another tab",
  "update-available": "ready; a new version of the model is there",
};

export const place = {
  cpu: "CPU",
  webgpu: (adapter: string) => `WebGPU · ${adapter}`,
  software: " (software rendering)",
  disk: "from disk",
  device: "on this device",
  memory: "in memory",
  /** Why it runs where it runs, where that is not plain; after the device's name. */
  why: ({ kind, times }: Why, cpu: boolean) =>
    kind === "no-adapter"
      ? ", no WebGPU here"
      : kind === "not-measured"
        ? ", WebGPU not measured yet"
        : kind === "measured"
          ? `, ${times!.toFixed(1)}× as fast as ${cpu ? "WebGPU" : "the CPU"}`
          : "",
  measured: ", the next visit takes the faster device",
};

export const picture = {
  camera: "Camera",
  sample: (n: number) => `Sample picture ${n}`,
  addSample: (n: number) => `Add sample picture ${n}`,
  nth: (n: number, name: string) => `Picture ${n}: ${name}`,
  frame: (n: number, name: string) => `Show picture ${n}: ${name}`,
  forget: (n: number) => `Forget picture ${n}`,
  forgetIt: "Forget",
  forgetHint: "take this picture out of the conversation; what was said stays",
  onlyIt: "Ask about this one only",
  onlyThis: (n: number) => `Ask about this one only: picture ${n}`,
  only: (n: number) => `Ask about picture ${n} only`,
  onlyHint: "begin a new conversation about this picture; it is not processed again",
  alone: (n: number, of: number) => `Questions are about picture ${n} of ${of} only.`,
  allAgain: (n: number) => `Ask about ${every(n)}`,
  allAgainHint: "begin a new conversation about all of them; they are not processed again",
  all: (n: number) => `Questions are about ${every(n)}.`,
  askAll: (n: number) => `Ask about the ${n} pictures`,
  forgotten: (name: string) => `Forgotten: ${name}`,
  about: (n: number) => `About ${count(n, "picture")}`,
  more: (n: number) => `+${n}`,
  single: "toybox was trained with one picture at a time: asked about several, it may mix them up.",
  seen: "What the model sees",
  alt: (name: string) => `The picture: ${name}`,
  heatMap: "Heat map: where the image tokens look",
  cannotShow: (name: string) => `${name}: this browser cannot show it`,
  size: (name: string, width: number, height: number) => `${name} · ${width} × ${height}`,
  input: (size: number) => `The model's input: ${size} × ${size}, padded to a square`,
  map: "Learned once: the same for every picture and question.",
  photo: (model: string) =>
    `This looks like a photo. ${model} only understands toy scenes: its answers will be wrong.`,
  anew: "New conversation.",
  forgot: (n: number) => `Picture ${n} is forgotten.`,
  onlyNow: (n: number) => `New conversation about picture ${n}.`,
  allNow: (n: number) => `New conversation about ${every(n)}.`,
  divider: "New conversation",
  undo: "Undo",
  readings: "The file is rotated, transparent or has 16 bits: the model sees it as you do.",
  tooLarge: (name: string) => `${name} is too large for a picture; the one before is kept.`,
  noPicture: (name: string) => `${name} isn't a picture.`,
  onlyPictures: "Only picture files, or links to pictures, can be dropped here.",
  emptyClipboard: "There is no picture on the clipboard.",
  noClipboard: "The browser did not allow reading the clipboard: press Ctrl+V (⌘V) instead.",
  noComposer: "The scene editor could not be loaded. Are you offline?",
  pasted: "pasted picture",
  composed: "composed scene",
  redrawn: " (decoded by the browser)",
  kept: "picture",
};

/** What an answer looked at. */
export const looked = {
  button: "What it looked at",
  short: "Looked at",
  hint: "draw over the picture where the model looked while it wrote this answer",
  map: "Heat map: what this answer looked at",
  nth: (n: number) => `picture ${n}`,
  places: [
    "the top left",
    "the top",
    "the top right",
    "the left",
    "the middle",
    "the right",
    "the bottom left",
    "the bottom",
    "the bottom right",
  ],
  mostly: (picture: string, where: string, percent: number) =>
    picture
      ? `In ${picture} this answer looked most at ${where} (${percent} % of what it gave to that picture).`
      : `While it wrote this answer, the model looked most at ${where} (${percent} % of its attention).`,
  evenly: (picture: string) =>
    picture
      ? `In ${picture} this answer looked at all parts about evenly.`
      : "While it wrote this answer, the model looked at all parts of the picture about evenly.",
  notAt: (picture: string) => `This answer did not look at ${picture || "the picture"}.`,
  most: (n: number, percent: number) =>
    `Of all pictures it looked most at picture ${n} (${percent} %).`,
};

/** What the chip at the picture says of the model. */
export const chips = {
  scenes: (model: string) => `${model} · toy scenes only`,
};

export const knob = {
  auto: "Auto",
  tokens: (n: number, pictures = 1) =>
    count(n, "image token") + (pictures > 1 ? ` × ${pictures} pictures` : ""),
  valueText: (m: number, max: number) => `${m} of ${max} image tokens`,
  typed: (offered: string, text: string, stays: string) =>
    `Give ${offered}${text && `, not ${text}`}. It stays at ${stays}.`,
  linkNonsense: (text: string) =>
    `The link asks for “${text}” image tokens: that is not a number of them. It stays at Auto.`,
  linkAsks: "The link asks for",
  youAsked: "You asked for",
  instead: (who: string, wish: number, offered: string, m: number) =>
    `${who} ${count(wish, "image token")}; this model gives ${offered}. ${m} ${m === 1 ? "is" : "are"} used.`,
  upTo: (max: number) => (max === 1 ? "1" : `a whole number from 1 to ${max}`),
  or: (list: number[]) =>
    list.length === 1 ? `${list[0]}` : `${list.slice(0, -1).join(", ")} or ${list.at(-1)}`,
  autoKept: (reason: string) => `${reason} (chosen for the first question)`,
  autoLater: "Auto picks once it has measured this device.",
  ofMax: (m: number, max: number) => `${m} of ${max} image tokens.`,
  autoIs: (m: number, reason: string, pictures: number) =>
    [`Auto: ${m}${pictures > 1 ? ` × ${pictures} pictures` : ""}`, `, ${reason}`] as const,
  unmeasured: "not measured yet",
  about: (time: string) => `≈ ${time}`,
  cut: (tiles: number) =>
    tiles === 1 ? " · the whole picture" : ` · the picture in ${tiles} squares`,
  first: (time: string, ahead: boolean) =>
    ` · first token ${time}${ahead ? " (picture read already)" : ""}`,
  buys: (now: number, nowBytes: string, most: number, mostBytes: string, max: number) =>
    `Prompt ${now} tokens, image tokens take ${nowBytes}` +
    (now === most ? "." : `; with ${max}: ${most} and ${mostBytes}.`),
  larger: (now: string, m: number, most: string, max: number) =>
    `A 7B model here would read ${m} image tokens in about ${now}` +
    (m === max ? "." : `, ${max} in ${most}.`),
  demanding: "Counting and reading usually need more image tokens.",
  reads: (who: string, where: string, percent: number, unused: string) =>
    `${who} mainly the ${where} (${percent} %).${unused}`,
  readsEvenly: (who: string, unused: string) => `${who} all parts about evenly.${unused}`,
  unused: (m: number) => ` Not used at ${m} tokens.`,
  token: (n: number) => `Token ${n} reads`,
  firstReads: "The first token reads",
  allRead: (m: number) => `All ${m} tokens together read`,
  someRead: (m: number) => `The first ${m} tokens together read`,
};

export const talk = {
  noPicture: "Choose a picture first.",
  loadsFirst: "Asking loads the model first.",
  startsDownload: (what: string) => `Asking starts the download (${what}).`,
  examples: [
    "Describe the picture",
    "How many things are there?",
    "What is in the middle?",
    "Is there a dog?",
  ],
  examplesOfSeveral: [
    "What do you see?",
    "How many things are there?",
    "Is there a dog?",
    "What is in the first picture?",
  ],
  answerTo: (question: string) => `Answer to: ${question}`,
  stoppedEarly: "(stopped before the first token)",
  noWords: "(no words)",
  noAnswer: "(no answer)",
  notAsked: "(not asked)",
  repeat: "Repeat the question",
  edit: "Edit",
  editHint: "take the question back and ask it in other words",
  tokens: (m: number, pictures = 1) =>
    count(m, "token") + (pictures > 1 ? ` × ${pictures} pictures` : ""),
  compares: (pictures: number) =>
    `The same question about ${every(pictures)}; the number is image tokens of each.`,
  confidence: (percent: number) => `confidence ${percent} %`,
  confidenceHint: "mean probability of the generated tokens: how sure the model is, not how right",
  lowShort: "Low confidence",
  lowConfidence: (below: number) => `Low confidence (below ${below} %)`,
  lowMore: (below: number) => `Low confidence (below ${below} %): try more image tokens`,
  cutOff: (n: number) => `cut off at ${count(n, "token")}`,
  readIn: (time: string) => `read in ${time}`,
  firstIn: (time: string, ahead: boolean) =>
    `first token ${time}${ahead ? " (picture read before)" : ""}`,
  mixes: "several pictures: may mix them up",
  firstTokenHint:
    "from the question to the first token, looking at the picture included if that had not happened",
  details: "Details",
  generated: (n: number) => `${count(n, "token")} generated`,
  squares: (tiles: number) => `the picture in ${tiles} squares`,
  chosenBy: (select: string) => `image tokens chosen by ${select}`,
  rate: (rate: string) => `${rate} tokens/s`,
  seed: (seed: number) => `seed ${seed}`,
  cached: (cached: number, all: number) => `${cached} of ${all} prompt tokens were read before`,
  autoBecause: (reason: string) => `Auto: ${reason}; Settings have the target`,
  continueIt: "Continue",
  continueHint: "resume where it was stopped",
  refine: (max: number) => `Refine with ${max}`,
  refineHint: "ask again with all image tokens; the picture is not processed again",
  again: (m: number) => `Again with ${m}`,
  againHint: "ask again with the image tokens chosen now; the picture is not processed again",
  compareIt: "Compare",
  compareHint: "the same question with few and many image tokens",
  copy: "Copy",
  draft: (m: number | undefined) =>
    `Earlier answer with ${m === undefined ? "fewer image tokens" : count(m, "image token")}`,
  notInDraft: "not in the draft",
  comparison: (question: string) => `Comparison: ${question}`,
  counts: "Token counts",
  countsLabel: (wanted: string) => `Image tokens to compare: ${wanted}`,
  compareAgain: "Compare again",
  give: (wanted: string) => `Give ${wanted}.`,
  ofThese: (most: number, list: number[]) => `2 to ${most} of ${list.join(", ")}`,
  numbers: (most: number, max: number) => `2 to ${most} different numbers from 1 to ${max}`,
  use: (m: number) => `Use ${m}`,
  used: (m: number) => `${m} from now on`,
  copyTable: "Copy as Markdown",
  enough: (m: number, max: number, faster: string) =>
    `${count(m, "token")} already ${m === 1 ? "gives" : "give"} the answer of ${max}${faster}.`,
  faster: (times: string) => `, read ${times} times faster`,
  needsAll: (max: number) => `Only ${max} tokens give this answer: here detail counts.`,
  unsureToo: (m: number) => ` ${m} ${m === 1 ? "gives" : "give"} it too, with low confidence.`,
  differ: "The answers differ, and more tokens are not surer.",
  table: ["Image tokens", "Answer", "Confidence", "Picture and question read in"],
};

export const welcome = {
  title: "Ask about a picture, on your own device",
  titleBack: "Welcome back",
  lead: "A picture is read as image tokens: few are fast, many see detail. You choose.",
  asked: (question: string) => `“${question}”`,
  withTokens: (m: number) => count(m, "token"),
  try: (size: string) => `Try it (downloads ${size})`,
  tryStored: "Try it",
  others: "Or try one of these, with 2 and with 64 image tokens:",
  gpu: "Runs in this browser, on your graphics card; nothing leaves this device.",
  cpu: "Runs in this browser, on your CPU; nothing leaves this device.",
  software: "This browser draws in software: your CPU is usually faster.",
  useCpu: "Use the CPU",
  knows:
    "toybox knows toy scenes only: ask what, how many, what colour, where. It can't understand photographs.",
  startStored: "Load the model (on this device)",
  start: (size: string) => `Load the model (${size})`,
  load: "Load",
  checkSize: "Check size",
  fromDisk: (name: string) => `The model is ${name}, from this device's disk.`,
  stored: (name: string) => `The model of ${name} is stored on this device.`,
  elsewhere: (name: string) =>
    `The model comes from ${name}, and is stored on this device. Nothing is asked of that server before you press the button.`,
  back: "Your last conversation is below. Ask on: the model is loaded then.",
  wrongAddress: "The link's model address is wrong",
  nothingFetched:
    "Nothing was downloaded. Another model's address can be typed, or the bundled model used.",
  bundled: "Use the bundled model",
  another: "Another model…",
};

/** The card while a model loads: four steps. */
export const loading = {
  title: (name: string) => `Loading ${name}`,
  steps: { fetch: "Download", check: "Check", send: "Copy to device", warm: "Prepare" },
  pause: "Pause",
  resume: "Continue",
  now: "Try again now",
  cancel: "Cancel",
  starting: "Starting …",
  downloading: (done: string, total: string, left: string, file: number, files: number) =>
    `${done} of ${total}${left} · file ${file} of ${files}`,
  left: (rate: string, time: string) => ` · ${rate}/s · ${time} left`,
  paused: (done: string, total: string) =>
    `Paused: ${done} of ${total} are here and kept, also if you close the page.`,
  noServer: (done: string, total: string, time: string) =>
    `There is no answer. ${done} of ${total} are kept. The server is asked again in ${time}, and so on until it answers; also at once when the network is back.`,
  noCors: (done: string, total: string, time: string) =>
    `That server cannot be reached, or does not let other pages read it (CORS). ${done} of ${total} are kept; it is asked again in ${time}.`,
  verifying: (file: string, n: number, of: number) =>
    `Checking the SHA-256 of ${file} (${n} of ${of}).`,
  damaged: (file: string) =>
    `${file} does not match its SHA-256. It is not used; it alone is fetched again.`,
  uploading: (done: string, total: string) => `${done} of ${total} are on the device.`,
  kernels: (done: number, total: number, time: string) =>
    `${done} of ${total} kernels are compiled · ${time}`,
  warming: (time: string) => `Warming up, so that the first answer is quick · ${time}`,
};

export const trouble = {
  again: "Try again",
  ok: "OK",
  report: "Copy report",
  cpu: "Use the CPU instead",
  noWebGpu: "WebGPU isn't available",
  noWebGpuMore:
    "Small models, like the toybox, also run on the CPU: with the same answers. The mqt program for the command line can use graphics cards your browser can't.",
  weak: "A weak graphics adapter",
  weakMore: "The CPU can run small models instead.",
  nothingYet: "Nothing was downloaded yet.",
  anyway: "Try it anyway",
  saving: (model: string) => `Download ${model} now?`,
  savingMore: (size: string) =>
    `Your browser is set to save data, so the download has not begun. It takes ${size}; the model is stored on this device and needs no network afterwards.`,
  savingWaits: "If you asked a question, it waits; “Not now” drops it.",
  savingNow: "Download now",
  savingNotNow: "Not now",
  full: "No room to store the model",
  fullNumbers: (need: string, have: string | undefined) =>
    `It needs ${need} more; ${have === undefined ? "less is" : `${have} are`} left.`,
  fullMore:
    "Browsers allow a share of the free disk, and private windows little or nothing. What was stored before is kept.",
  inMemory: "Keep in memory this time",
  freeRoom: "Free some room…",
  damaged: "A file of the model is damaged",
  damagedMore: "It is not used. The other files are kept.",
  fetchFile: (file: string) => `Fetch ${file} again`,
  fetchIt: "Fetch it again",
  tensors: "The model's tensors do not fit",
  towerMore:
    "Choose a folder that holds the vision tower as well, in a folder of its own; or make a pack of both with mqt convert --vision-tower.",
  tensorsMore: "Nothing of it is used. Fetching it again would not help: it was written so.",
  otherInternal: "An internal error",
  otherTensors: "That model's tensors do not fit",
  otherFull: "No room to store that model",
  otherFailed: "That model cannot be used",
  otherKept: "The model before stays in use, with its picture and conversation.",
  internal: "An internal error",
  internalMore:
    "This is a fault of mqt, and the engine has ended. The picture, the conversation and what you typed are kept.",
  restart: "Start the engine again",
  unreachable: "The model cannot be reached",
  offline: "No network",
  unreachableMore: "What has arrived is kept. A model that is on this device needs no network.",
  memory: "Out of memory",
  memoryFor: (what: string, size: string | undefined) =>
    `The device has no room for ${what}${size ? ` (${size})` : ""}.`,
  memoryFreed: " The model was unloaded and its memory freed.",
  memoryMore:
    "Picture and conversation are kept. A shorter context takes less memory, and so do fewer image tokens or a smaller model.",
  shorter: (tokens: number) => `Shorter context (${tokens} tokens)`,
  lost: "The graphics device went away",
  lostMore: (kept: string, repeat: boolean) =>
    `Rebuilding. ${kept}${repeat ? " Below the cut-off answer you can repeat the question." : ""}`,
  lostKept: "Picture, conversation and the text in the question box are kept.",
  rebuilding: "Rebuilding",
  lostOften: "The graphics device keeps going away",
  lostOftenMore: (kept: string) =>
    `${kept} It happened three times within five minutes, so it is not rebuilt by itself any more.`,
  rebuild: "Rebuild once more",
  contextFull: "The conversation is full",
  contextNumbers: (need: number, have: number) =>
    `It takes ${need} tokens, ${have} fit. The answers so far are kept on the page.`,
  anewHere: "New conversation about this picture",
  anewAll: (pictures: number) => `New conversation about these ${pictures} pictures`,
  forgetFirst: "Forget picture 1",
  noSecond: "No further picture fits",
  noSecondKept: "The pictures before it are kept, with their conversation.",
  alone: "New conversation about the new one",
  anewWith: (m: number) => `New conversation with ${count(m, "image token")}`,
  longer: "A longer context",
  otherTab: "Open in another tab",
  otherTabMore:
    "Another tab, or another engine on this page, uses the model. Loading it here as well would take its memory twice.",
  useHere: "Use it here instead",
  waitForTab: "Wait for the other tab",
  waiting: "Waiting for the other tab",
  waitingMore: "The model loads as soon as the other tab is closed.",
  taken: "Moved to another tab",
  takenMore:
    "Another tab took the model over, and this one has freed its memory. The conversation is kept.",
  bringBack: "Bring it back here",
  refused: "That did not work",
  refusedMore: "Everything else is as it was.",
  unreadable: "That picture cannot be read",
  unreadableKept: "The picture before it is kept, with its conversation.",
  unreadableOthers: (n: number) => `The ${n} others are kept, with their conversation.`,
  unreadableNone: "Choose another picture.",
  update: "A new version of the model",
  updateMore: (size: string) =>
    `${size} differ from what is stored here. The old version is removed when the new one is taken.`,
  updateNow: (size: string) => `Update (${size})`,
  later: "Later",
};

/** Why there is no WebGPU, and the one step to take. */
export const webgpu = {
  firefox:
    "In Firefox, open about:config and set dom.webgpu.enabled to true, or update to the newest version.",
  iphone: "Update to iOS or iPadOS 26 or newer: Safari has WebGPU from then on.",
  safari: "Update to Safari 26 or newer, or use Chrome or Edge.",
  android: "Use Chrome 121 or newer on Android 12 or newer.",
  linux:
    "In Chrome on Linux, open chrome://flags/#enable-unsafe-webgpu, switch it on and restart the browser.",
  other: "Use Chrome or Edge 113 or newer, and switch on “graphics acceleration” in its settings.",
  insecure: "This page was opened over an insecure connection, where browsers hide WebGPU.",
  insecureStep: "Open it over https, or on localhost.",
  none: "This browser has no WebGPU.",
  refused: (why: string) => `This browser refused its WebGPU: ${why}`,
  noDevice:
    "The browser has WebGPU, but found no graphics device for it (or it is on the browser's block list).",
  unnamed: "unnamed adapter",
  limit: (name: string, have: number, need: number) =>
    `${name} is ${have}, the engine needs ${need}`,
  weakStep: "It may still work for a small model.",
};

export const settings = {
  answers: "Answers",
  number: "Give a number.",
  own: (way: string) => `Model default: ${way}`,
  ways: {
    nested: "Nested: the first ones",
    spread: "Spread: the most different ones",
    pool: "Pool: averages of neighbours",
    random: "Random: to compare with",
    question: "Question: what it is about; the picture is read anew for each question",
  },
  linked: (what: string) => `This link sets a ${what} (see Settings).`,
  and: " and ",
  linkedSystem: "system prompt",
  linkedStop: "stop text",
};

export const report = {
  title: "Diagnostics",
  log: "Log",
  note: "The reports hold questions, answers and settings, and the picture's hash. The link holds settings only, including system prompt and stop text.",
  withPicture: " Include the picture as the model sees it",
  link: "Copy link",
  json: "Copy JSON",
  copy: "Copy report",
  wasm: "WebAssembly memory",
  gpu: "Device memory",
};
