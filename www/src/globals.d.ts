/** The bundled model, known when the page is built. */
declare const __BUNDLED__: {
  name: string;
  bytes: number;
  weights: string;
  imageTokens: number;
  /** How much more arithmetic a token takes in the language model of MQT-LLaVA-7B. */
  larger: number;
};

/** Which page this is: for reports. `commit` is empty outside of a repository. */
declare const __BUILD__: { version: string; commit: string; source: string };
