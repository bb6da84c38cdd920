// Limits of the page's own.

/** Pictures above this are refused before they fill the memory. */
export const MOST_PICTURE_BYTES = 200_000_000;
