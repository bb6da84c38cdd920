// The page's one thread of action: questions are asked, again, in other words, with several m.
// Everything on screen that can be pressed ends up here, in viewer.ts (pictures) or in loader.ts
// (models); what is shown is in the other files.

import {
  type Answer,
  type Answering,
  type Engine,
  EngineError,
  type LookedAt,
  type Turn,
} from "mqt-web";
import type { Asked, Loadable, Page, Panel, Picture } from "./actions";
import type { Card } from "./card";
import type { Comparison } from "./comparison";
import * as conversation from "./conversation";
import { log } from "./dom";
import { failed } from "./failures";
import * as history from "./history";
import { lazily } from "./lazily";
import * as notices from "./notices";
import { samples } from "./samples";
import { selected } from "./selecting";
import { settings } from "./settings";
import { enter, isBusy, isOpen, state } from "./state";
import * as steps from "./steps";
import * as tokens from "./tokens";
import * as trouble from "./trouble";
import { Viewer } from "./viewer";
import { welcome } from "./welcome";

/** Times below this vary more than they differ. */
const SHORT_MS = 250;

/** How a question is asked: the image tokens, an answer's beginning, all of it read again. */
interface How {
  tokens?: number;
  soFar?: number[];
  reread?: boolean;
}

export class App extends Viewer implements Page {
  /** The last question goes into the box again, and the next one takes its place. */
  private editing: Card | undefined;

  constructor(private readonly panels: Record<Panel, () => unknown>) {
    super();
  }

  /**
   * Stops what is under way, or was put off; the text so far is kept. A question that waits is not
   * asked any more.
   */
  stop(): void {
    this.release(false);
    if (this.probing || state() === "saving-data") {
      this.abandon();
      enter("first-visit");
      void welcome();
    } else if (this.loading) this.cancelDownload();
    else this.work?.abort();
  }

  /** The question waits: for the model, which is loaded if need be, or for its picture. */
  private async itsTurn(): Promise<Engine> {
    const { talk } = this;
    this.release(false); // one waits at a time
    // Without WebGPU there is one way left; that it is another one was said.
    if (state() === "no-webgpu") this.adapter = "cpu";
    const released = new Promise<boolean>(released => (this.waiting = released));
    this.changed();
    if (!this.engine) void this.start();
    const goesOn = await released;
    this.changed();
    if (!goesOn || talk !== this.talk)
      throw new EngineError("cancelled", "the question was dropped while it waited");
    if (!this.engine) throw new EngineError("cancelled", "there is no model");
    return this.engine;
  }

  /**
   * Asks the model about pictures after the turns `how` names, streaming into `show`; what it
   * throws was already dealt with.
   */
  private async run(
    question: string,
    how: How & { pictures: Picture[]; turns: Turn[] },
    show: (answering: Answering) => Promise<void>,
  ): Promise<Answer | undefined> {
    const { talk } = this;
    const { pictures } = how;
    if (pictures.length === 0) return undefined;
    notices.noUndo();
    // With a model there the work begins at once: Stop finds it.
    const engine = this.engine && !this.isReading ? this.engine : await this.itsTurn();
    this.preparing?.abort();
    const work = (this.work = new AbortController());
    this.fresh = undefined;
    const first = this.hasLooked(engine, pictures) ? "prefilling" : "encoding";
    enter(first === "encoding" ? "encoding" : "answering");
    steps.begin(first);
    try {
      await this.look(engine, pictures, work.signal);
      await engine.resume(this.told(how.turns));
      if (talk !== this.talk || this.work !== work)
        throw new EngineError("cancelled", "something else began meanwhile");
      enter("answering");
      // `instruct` has told the engine of the first
      const { system, select: _, ...sampling } = settings.sampling();
      const { tokens: m, soFar, reread } = how;
      const answering = engine.ask({
        question,
        tokens: m,
        soFar,
        reread,
        signal: work.signal,
        onStep: steps.show,
        select: selected(),
        ...sampling,
      });
      await show(answering);
      const answer = await answering.answer;
      const seen = pictures.map(({ view }) => view?.hash ?? "");
      this.records.push({ answer, pictures: seen, settings: settings.sampling() });
      return answer;
    } catch (error) {
      if (this.work === work) failed(EngineError.from(error), question);
      throw error;
    } finally {
      this.changed();
    }
  }

  private settle(answer: Answer): void {
    if (answer.finishReason === "context") {
      enter("context-full");
      notices.show(
        trouble.contextFull(
          answer.promptTokens + answer.completionTokens,
          this.engine?.model.context ?? 0,
        ),
      );
    } else {
      enter(answer.finishReason === "cancelled" ? "stopped" : "ready");
    }
  }

  /** A new question, or the last one in other words. */
  async ask(question: string, isTyped = false): Promise<void> {
    if (this.engine) notices.clear(); // a load's card has the only way on
    notices.clearWelcome();
    const last = isTyped && this.editing === conversation.latest() ? this.editing : undefined;
    this.editing = undefined;
    const turns = last ? last.turns : [...this.turns];
    const pictures = last ? this.still(last) : this.pictures;
    const card = conversation.newAnswer(question, pictures, turns, last);
    await this.answer(card, { tokens: tokens.wanted() });
  }

  /** What a card was asked about, as far as it was not forgotten. */
  private still(card: Card): Picture[] {
    return card.pictures.filter(picture => this.pictures.includes(picture));
  }

  edit(): void {
    this.editing = conversation.latest();
    const box = document.querySelector<HTMLTextAreaElement>("#question")!;
    box.value = this.editing?.question ?? "";
    box.dispatchEvent(new Event("input"));
    box.focus();
  }

  async again(how: { tokens?: number; soFar?: number[] }): Promise<void> {
    const [before, card] = [this.turns.at(-1), conversation.latest()];
    if (!this.engine || !before || !card || isBusy()) return;
    notices.clear();
    const pictures = this.still(card);
    await this.answer(conversation.newAnswer(card.question, pictures, card.turns, card), {
      tokens: how.tokens ?? before.imageTokens,
      soFar: how.soFar,
    });
  }

  /** Answers a card; if nothing new began meanwhile, that is the conversation's last turn then. */
  private async answer(card: Card, how: How): Promise<void> {
    const { question, pictures, turns } = card;
    const { talk } = this;
    this.asking = card;
    const answer = await this.run(question, { pictures, turns, ...how }, answering =>
      card.stream(answering),
    ).catch(error => void card.fail(error));
    if (this.asking === card) this.asking = undefined;
    const goesOn = talk === this.talk;
    if (answer && goesOn) {
      // A picture that came while a question failed stands before this one.
      for (const picture of pictures) picture.turn = Math.min(picture.turn, turns.length);
      this.turns = [...turns, answer];
      this.letGo(pictures);
      // Chosen by the question, the image tokens are others in every layer.
      if (this.engine && answer.select !== "question" && answer.completionTokens > 0)
        this.fresh = { engine: this.engine, answer };
    }
    if (answer) card.finish(answer);
    if (answer && goesOn) {
      this.settle(answer);
      this.save();
    }
    this.changed();
    if (goesOn && isOpen() && this.engine && !this.hasLooked(this.engine)) await this.catchUp();
  }

  async lookedAt(of: Asked): Promise<LookedAt[] | undefined> {
    const { answer } = of;
    if (!answer || isBusy()) return undefined;
    let maps: LookedAt[] | undefined;
    let work: AbortController | undefined;
    let before = state();
    try {
      const engine = this.engine && !this.isReading ? this.engine : await this.itsTurn();
      this.preparing?.abort();
      before = state();
      work = this.work = new AbortController();
      enter("mapping");
      if (this.fresh?.engine !== engine || this.fresh.answer !== answer)
        await this.sayAgain(engine, of, work.signal);
      maps = await engine.lookedAt({ signal: work.signal });
      if (this.work === work) enter(before);
      await this.tellEngine();
    } catch (error) {
      const problem = EngineError.from(error);
      log(`what it looked at: ${problem.message}`);
      if (!work || this.work !== work) return undefined;
      if (problem.code !== "cancelled") failed(problem);
      else enter(before);
    }
    if (this.work !== work) return undefined;
    if (isOpen() && this.engine && !this.hasLooked(this.engine)) await this.catchUp();
    return maps;
  }

  /** Has the engine give an answer once more that is known: it is read, nothing is generated. */
  private async sayAgain(engine: Engine, of: Asked, signal: AbortSignal): Promise<void> {
    const { imageTokens, tokenIds, select } = of.answer!;
    this.fresh = undefined;
    await this.look(engine, of.pictures, signal);
    await engine.resume(this.told(of.turns));
    const how = { tokens: imageTokens, select, soFar: tokenIds, maxNewTokens: tokenIds.length };
    await engine.ask({ question: of.question, signal, ...how }).answer;
  }

  /**
   * One question with several m, small to large, after `turns`; none of it becomes part of the
   * conversation.
   */
  async compare(question: string, several: number[], turns = this.turns): Promise<void> {
    notices.clearWelcome();
    const pictures = this.upTo(turns.length);
    const above = this.turns.length;
    const shown = conversation.newComparison(question, several, pictures, turns, above);
    const { talk } = this;
    if (this.engine) notices.clear(); // a load's card has the only way on
    let answer: Answer | undefined;
    for (const [i, m] of several.entries()) {
      const column = shown.columns[i]!;
      // Each reads all of its own, for times that can be compared.
      const how = { pictures, turns, tokens: m, reread: true };
      answer = await this.run(question, how, answering => column.stream(answering)).catch(
        error => void column.fail(error),
      );
      if (answer) column.finish(answer);
      if (answer && answer.finishReason !== "cancelled" && talk === this.talk) continue;
      for (const left of shown.columns.slice(i + 1)) left.skip();
      break;
    }
    if (answer && answer.finishReason !== "cancelled") await this.measure(shown);
    if (talk !== this.talk) return;
    this.save();
    await this.tellEngine();
    if (answer?.finishReason === "cancelled") this.settle(answer);
    else if (answer) {
      shown.finish();
      enter("ready");
    }
    this.changed();
    if (isOpen() && this.engine && !this.hasLooked(this.engine)) await this.catchUp();
  }

  /**
   * Short times are taken three times, in turn, and the shortest counts: what else the device does
   * only adds to it.
   */
  private async measure({ columns, question, turns }: Comparison): Promise<void> {
    const { engine, work } = this;
    const again = async (column: Card) => {
      const { answer } = column;
      if (!engine || !answer || answer.timingsMs.prefill >= SHORT_MS) return;
      await engine.resume(this.told(turns));
      const how = { tokens: answer.imageTokens, reread: true, maxNewTokens: 1, select: selected() };
      const { timingsMs } = await engine.ask({ question, signal: work!.signal, ...how }).answer;
      const prefill = Math.min(timingsMs.prefill, answer.timingsMs.prefill);
      column.put({ ...answer, timingsMs: { ...answer.timingsMs, prefill } });
    };
    try {
      for (const column of [...columns, ...columns])
        if (this.work === work && !work?.signal.aborted) await again(column);
    } catch (error) {
      // Stopped; or the next question will meet the same failure and say so.
      log(`compare: ${(error as Error).message}`);
    }
  }

  async example(sample: number, question: string, several: number[]): Promise<void> {
    const { url, name } = samples[sample]!;
    if (isBusy()) return;
    if (this.picture?.name !== name || this.pictures.length > 1 || this.turns.length > 0)
      await this.attach(await (await fetch(url)).blob(), name);
    if (isBusy() || this.picture?.name !== name) return;
    await this.compare(question, several);
  }

  offer(model: Loadable): Promise<void> {
    return lazily("offer", async () => (await import("./offering")).offer(model));
  }

  welcome(): Promise<void> {
    return welcome();
  }

  open(panel: Panel): void {
    void this.panels[panel]();
  }

  async borrow(work: (engine: Engine, signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.engine) notices.clear(); // a load's card has the only way on
    notices.clearWelcome();
    const engine = this.engine && !this.isReading ? this.engine : await this.itsTurn();
    this.preparing?.abort();
    const control = (this.work = new AbortController());
    this.fresh = undefined;
    enter("live");
    try {
      // What is seen once only is not kept.
      await engine.keepPictures(false);
      await work(engine, control.signal);
    } catch (error) {
      if (this.work === control) failed(EngineError.from(error));
      throw error;
    } finally {
      this.lookAgain();
      await engine.keepPictures(history.isOn()).catch(() => undefined);
    }
    if (this.work === control) await this.catchUp();
  }
}
