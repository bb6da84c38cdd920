// The address of a picture in a text that somebody pasted or dropped.

/**
 * The address in a text that is nothing else: `https:`, `http:`, or a picture written out as
 * `data:`.
 */
export function linkIn(text: string | undefined): URL | undefined {
  // A list of links has comments and several lines; the first link counts.
  const line = text
    ?.split(/\r?\n/)
    .find(line => line !== "" && !line.startsWith("#"))
    ?.trim();
  if (!line || !/^(https?:|data:image\/)\S+$/i.test(line)) return undefined;
  return URL.canParse(line) ? new URL(line) : undefined;
}
