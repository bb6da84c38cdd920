// A React component that asks a model in the browser about a picture, and shows the answer as it
// comes. `npm install mqt-web react`; the pack's folder lies in the server's public files.

import { Engine, MqtError } from "mqt-web";
import { useEffect, useRef, useState } from "react";

/** One engine for the component: loaded when first asked, gone with the component. */
function useEngine(manifest: string) {
  const engine = useRef<Promise<Engine>>(undefined);
  useEffect(
    () => () => {
      engine.current?.then(loaded => loaded.dispose()).catch(() => undefined);
      engine.current = undefined;
    },
    [manifest],
  );
  return () => (engine.current ??= Engine.load(manifest));
}

export function Ask({ manifest }: { manifest: string }) {
  const [image, setImage] = useState<File>();
  const [question, setQuestion] = useState("What is this?");
  const [answer, setAnswer] = useState("");
  const [stopping, setStopping] = useState<AbortController>();
  const engine = useEngine(manifest);

  async function ask() {
    if (!image) return;
    const stop = new AbortController();
    setStopping(stop);
    setAnswer("");
    try {
      const answering = (await engine()).ask({ image, question, signal: stop.signal });
      for await (const text of answering) setAnswer(so => so + text);
    } catch (error) {
      setAnswer(error instanceof MqtError ? error.message : String(error));
    } finally {
      setStopping(undefined);
    }
  }

  return (
    <form action={ask}>
      <input type="file" accept="image/*" onChange={e => setImage(e.target.files?.[0])} />
      <input value={question} onChange={e => setQuestion(e.target.value)} />
      <button type="submit" disabled={!image || stopping !== undefined}>
        Ask
      </button>
      <button type="button" onClick={() => stopping?.abort()}>
        Stop
      </button>
      <output>{answer}</output>
    </form>
  );
}
