// The page's one thread of action: questions are asked, again, in other words, with several m.
// Everything on screen that can be pressed ends up here, in viewer.ts (pictures) or in loader.ts
// (models); what is shown is in the other files.

import { type Answer, type Answering, EngineError, type Turn } from "mqt-web";
import type { Loadable, Page, Panel } from "./actions";
import type { Card } from "./card";
import * as conversation from "./conversation";
import { log } from "./dom";
import { failed } from "./failures";
import * as history from "./history";
import * as notices from "./notices";
import { offer } from "./offering";
import { samples } from "./samples";
import { settings } from "./settings";
import { enter, isBusy, state } from "./state";
import * as steps from "./steps";
import * as tokens from "./tokens";
import * as trouble from "./trouble";
import { Viewer } from "./viewer";
import { welcome } from "./welcome";

export class App extends Viewer implements Page {
  /** The last question goes into the box again, and the next one takes its place. */
  private editing: Card | undefined;

  constructor(private readonly panels: Record<Panel, () => unknown>) {
    super();
  }

  /**
   * Stops what is under way; the text so far is kept. A question that waits is not asked any more.
   */
  stop(): void {
    this.release(false);
    if (this.probing) {
      this.abandon();
      enter("first-visit");
      void welcome();
    } else if (this.loading) this.cancelDownload();
    else this.work?.abort();
  }

  /**
   * Asks the model after the turns `how` names, streaming into `show`; what it throws was already
   * dealt with.
   */
  private async run(
    question: string,
    how: { turns: Turn[]; tokens?: number; soFar?: number[] },
    show: (answering: Answering) => Promise<void>,
  ): Promise<Answer | undefined> {
    const { picture, talk } = this;
    if (!picture) return undefined;
    if (!this.engine) {
      this.release(false); // one waits at a time
      // Without WebGPU there is one way left; that it is another one was said.
      if (state() === "no-webgpu") this.adapter = "cpu";
      const loaded = new Promise<boolean>(loaded => (this.waiting = loaded));
      this.changed();
      void this.start();
      const goesOn = await loaded;
      this.changed();
      if (!goesOn || talk !== this.talk)
        throw new EngineError("cancelled", "the question was dropped while it waited");
    }
    const engine = this.engine;
    if (!engine) throw new EngineError("cancelled", "there is no model");
    this.preparing?.abort();
    const work = (this.work = new AbortController());
    const first = this.hasLooked(engine, picture) ? "prefilling" : "encoding";
    enter(first === "encoding" ? "encoding" : "answering");
    steps.begin(first);
    try {
      await this.look(engine, picture, work.signal);
      await engine.resume(how.turns);
      if (talk !== this.talk || this.work !== work)
        throw new EngineError("cancelled", "something else began meanwhile");
      enter("answering");
      // `instruct` has told the engine of the first
      const { system, ...sampling } = settings.sampling();
      const { tokens: m, soFar } = how;
      const answering = engine.ask({
        question,
        tokens: m,
        soFar,
        signal: work.signal,
        onStep: steps.show,
        ...sampling,
      });
      await show(answering);
      const answer = await answering.answer;
      const seen = picture.view?.hash ?? "";
      this.records.push({ answer, picture: seen, settings: settings.sampling() });
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
    const card = conversation.newAnswer(question, this.picture!, turns, last);
    await this.answer(card, { tokens: tokens.wanted() });
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
    await this.answer(conversation.newAnswer(card.question, this.picture!, card.turns, card), {
      tokens: how.tokens ?? before.imageTokens,
      soFar: how.soFar,
    });
  }

  /** Answers a card; if nothing new began meanwhile, that is the conversation's last turn then. */
  private async answer(card: Card, how: { tokens?: number; soFar?: number[] }): Promise<void> {
    const { question, turns } = card;
    const { talk } = this;
    const answer = await this.run(question, { turns, ...how }, answering =>
      card.stream(answering),
    ).catch(error => void card.fail(error));
    if (!answer) return;
    const goesOn = talk === this.talk;
    if (goesOn) this.turns = [...turns, answer];
    card.finish(answer);
    if (goesOn) this.settle(answer);
    if (goesOn) void history.keep(this.picture!, this.turns as Answer[]);
    this.changed();
  }

  /**
   * One question with several m, small to large, after `turns`; none of it becomes part of the
   * conversation.
   */
  async compare(question: string, several: number[], turns = this.turns): Promise<void> {
    notices.clearWelcome();
    const shown = conversation.newComparison(question, several, this.picture!, turns);
    const { talk } = this;
    if (this.engine) notices.clear(); // a load's card has the only way on
    let answer: Answer | undefined;
    for (const [i, m] of several.entries()) {
      const column = shown.columns[i]!;
      answer = await this.run(question, { tokens: m, turns }, answering =>
        column.stream(answering),
      ).catch(error => void column.fail(error));
      if (answer) column.finish(answer);
      if (answer && answer.finishReason !== "cancelled" && talk === this.talk) continue;
      for (const left of shown.columns.slice(i + 1)) left.skip();
      break;
    }
    if (talk !== this.talk) return;
    // So that estimates count what was said, not what was compared.
    await this.engine
      ?.resume(this.turns)
      .catch(error => log(`compare: ${(error as Error).message}`));
    if (answer?.finishReason === "cancelled") this.settle(answer);
    else if (answer) {
      shown.finish();
      enter("ready");
    }
    this.changed();
  }

  async example(sample: number, question: string, several: number[]): Promise<void> {
    const { url, name } = samples[sample]!;
    if (isBusy()) return;
    if (this.picture?.name !== name || this.turns.length > 0)
      await this.attach(await (await fetch(url)).blob(), name);
    if (isBusy() || this.picture?.name !== name) return;
    await this.compare(question, several);
  }

  offer(model: Loadable): Promise<void> {
    return offer(model);
  }

  welcome(): Promise<void> {
    return welcome();
  }

  open(panel: Panel): void {
    void this.panels[panel]();
  }

  async startAnew(): Promise<void> {
    if (state() === "answering") {
      this.work?.abort();
      this.work = undefined;
    }
    this.forget();
    conversation.clear();
    void history.clear();
    const { talk } = this;
    // An engine that goes away just now has nothing to forget.
    await this.engine?.startAnew().catch(error => log(`start anew: ${(error as Error).message}`));
    if (talk !== this.talk) return;
    if (this.engine) notices.clear(); // a load's card has the only way on
    if (this.engine) enter("ready");
    this.changed();
  }
}
