// Text of a model, a server or a file as it may be shown: nothing in it changes the order of what
// stands beside it, or hides.

/**
 * Control characters but newline and tab, and the marks that change the order of text: as `shown`
 * in src/untrusted.rs.
 */
const STEERING =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

/** `text` with such characters escaped, cut after `most`. */
export function shown(text: string, most = 2000): string {
  const short = text.length > most ? `${text.slice(0, most)}…` : text;
  return short.replace(STEERING, escaped);
}
