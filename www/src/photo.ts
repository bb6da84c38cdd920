// Whether a picture looks like a photograph: in drawn scenes most neighbouring pixels are alike, in
// photographs hardly any.

/** Side of the square that is looked at. */
const SIDE = 96;
/** Neighbours that differ by this much or less in every channel are alike. */
const ALIKE = 2;
/** Drawn scenes have a larger share of neighbours that are alike. */
const DRAWN = 0.55;
/** Photographs have at least so many colours, of 16 steps per channel. */
const COLOURS = 60;

/** `undefined` if the browser cannot read it. */
export async function looksLikePhoto(blob: Blob): Promise<boolean | undefined> {
  try {
    const bitmap = await createImageBitmap(blob);
    const scale = SIDE / Math.max(bitmap.width, bitmap.height, 1);
    const [w, h] = [bitmap.width, bitmap.height].map(n => Math.max(2, Math.round(n * scale)));
    const context = new OffscreenCanvas(w!, h!).getContext("2d")!;
    context.drawImage(bitmap, 0, 0, w!, h!);
    bitmap.close();
    return isPhoto(context.getImageData(0, 0, w!, h!));
  } catch {
    return undefined;
  }
}

function isPhoto({ data, width, height }: ImageData): boolean {
  let [alike, pairs] = [0, 0];
  const colours = new Set<number>();
  const same = (a: number, b: number) =>
    [0, 1, 2].every(c => Math.abs(data[a + c]! - data[b + c]!) <= ALIKE);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = 4 * (y * width + x);
      colours.add(((data[at]! >> 4) << 8) | ((data[at + 1]! >> 4) << 4) | (data[at + 2]! >> 4));
      if (x > 0) pairs++, same(at, at - 4) && alike++;
      if (y > 0) pairs++, same(at, at - 4 * width) && alike++;
    }
  return alike / pairs < DRAWN && colours.size >= COLOURS;
}
