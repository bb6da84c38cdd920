// The models that this engine runs, in one place: the list under *Another model*, and what the page
// says a loaded model can do.

export interface Entry {
  name: string;
  /** Download, as q4 or as it comes. */
  size: string;
  /** What it takes to run it. */
  needs: string;
  /** What it can be asked about. */
  knows: string;
  licence: string;
  /** Commands of the program that make a pack of it; without them it comes with the page. */
  commands?: string[];
}

export const catalogue: Entry[] = [
  {
    name: "toybox",
    size: "7.6 MB",
    needs: "no graphics card",
    knows: "Toy scenes only: shapes, stickers, lines and cards. It can't understand photographs.",
    licence: "MIT or Apache-2.0",
  },
  {
    name: "SmolVLM 256M",
    size: "0.23 GB (q5)",
    needs: "no graphics card; some seconds a picture without one",
    knows: "Photographs, diagrams, text; 1 to 64 image tokens, or squares of 64 each",
    licence: "Apache-2.0",
    commands: [
      "mqt pull HuggingFaceTB/SmolVLM-256M-Instruct",
      "mqt convert HuggingFaceTB/SmolVLM-256M-Instruct -o smolvlm",
    ],
  },
  {
    name: "MQT-LLaVA 7B",
    size: "4.0 GB (q4)",
    needs: "about 5 GB of graphics memory",
    knows: "Photographs; any number of image tokens from 1 to 256",
    licence: "Llama 2 Community License",
    commands: ["mqt pull gordonhu/MQT-LLaVA-7b", "mqt convert gordonhu/MQT-LLaVA-7b -o mqt-7b"],
  },
  {
    name: "LLaVA-1.5 7B",
    size: "4.0 GB (q4)",
    needs: "about 5 GB of graphics memory",
    knows: "Photographs; any number of image tokens from 1 to 576",
    licence: "Llama 2 Community License",
    commands: [
      "mqt pull llava-hf/llava-1.5-7b-hf",
      "mqt convert llava-hf/llava-1.5-7b-hf -o llava",
    ],
  },
  {
    name: "LLaVA-M3 7B",
    size: "4.0 GB (q4)",
    needs: "about 5 GB of graphics memory",
    knows: "Photographs; 1, 9, 36, 144 or 576 image tokens",
    licence: "Llama 2 Community License",
    commands: ["mqt convert FOLDER/ -o llava-m3-7b"],
  },
];
