// Answers that the bundled model gave earlier, so that what image tokens buy is seen before
// anything is downloaded. `tests/browser/parity.spec.mjs` checks that it still gives them.

export interface RecordedAnswer {
  /** Index of the sample picture. */
  sample: number;
  question: string;
  /** m and the answer with so many image tokens, rising. */
  answers: [number, string][];
}

export const demo: RecordedAnswer = {
  sample: 0,
  question: "What do you see?",
  answers: [
    [2, "a car, a car and a cat"],
    [8, "an apple, a car and a cat"],
    [64, "an apple, a car and a cat"],
  ],
};

export const others: RecordedAnswer[] = [
  {
    sample: 0,
    question: "What is to the left of the car?",
    answers: [
      [2, "nothing"],
      [64, "an apple"],
    ],
  },
  {
    sample: 9,
    question: "Which number is on the card?",
    answers: [
      [2, "0"],
      [64, "7"],
    ],
  },
  {
    sample: 3,
    question: "What is at the bottom?",
    answers: [
      [2, "a boat"],
      [64, "a blue line"],
    ],
  },
];

/** What a click on one of them compares. */
export const compared = (recorded: RecordedAnswer): number[] =>
  recorded === demo ? recorded.answers.map(([m]) => m) : [2, 8, 64];
