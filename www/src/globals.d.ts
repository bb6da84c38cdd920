/** The bundled model, known when the page is built. */
declare const __BUNDLED__: { name: string; bytes: number; weights: string; imageTokens: number };
