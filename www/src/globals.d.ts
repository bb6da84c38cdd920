/** The bundled model, known when the page is built. */
declare const __BUNDLED__: {
  name: string;
  bytes: number;
  weights: string;
  imageTokens: number;
  /** How much more arithmetic a token takes in the language model of MQT-LLaVA-7B. */
  larger: number;
};

/** What browsers of Chromium's family say of the connection; others do not. */
interface Navigator {
  readonly connection?: { readonly saveData?: boolean };
}

/** Which page this is: for reports. `commit` is empty outside of a repository. */
