//! The texts of `--help` that are longer than a line.

pub(crate) const ABOUT: &str = "\
Ask about a picture, and choose how many image tokens to spend.

mqt runs Matryoshka Query Transformer vision-language models (MQT-LLaVA) on any GPU through WebGPU, or on the \
processor. The language model reads a picture as m image tokens, from 1 up to the model's M: few are fast, many \
show more detail. Choose m with -m, for each question.";

pub(crate) const AFTER: &str = "\
Examples:
  mqt ask photo.png \"How many circles are there?\"
  mqt ask *.png -q \"What is this?\" -m 16 --json > answers.jsonl
  mqt chat photo.png --model ./MQT-LLaVA-7b

The bundled model:
  Without --model, mqt uses `toybox`, a tiny model of the same architecture that is built into the program.
  It knows only toy scenes: shapes in ten colours, 64 stickers, strokes and cards, as in models/toybox/samples.
  It says, in English, what is there, in which colour, how many, where, what is beside it and what a card says.
  It does not know photographs or faces, and reads no text but its cards: about these its answers are nonsense.
  For photographs, fetch an MQT-LLaVA checkpoint with `mqt pull` and give its folder with --model.

Answers go to stdout, everything else to stderr. Ctrl-C stops an answer and keeps its text; press it twice to quit.

Exit codes:
  0  ok                                 5    out of memory, or the device was lost
  1  output not writable or in use      6    picture missing, truncated, or not a picture
  2  usage, or m outside 1 to M         7    network
  3  model missing or corrupt           8    the context is too long
  4  no usable adapter                  130  interrupted

`mqt COMMAND --help` explains each command with an example.";

pub(crate) const ASK_USAGE: &str =
    "mqt ask [OPTIONS] IMAGE... QUESTION\n       mqt ask [OPTIONS] IMAGE... -q QUESTION";

pub(crate) const ASK: &str = "\
Examples:
  mqt ask scene.png \"What colour is the star?\"
  mqt ask scene.png \"How many circles are there?\" -m 64
  mqt ask *.png -q \"What is this?\" --json             one answer each, one load
  cat scene.png | mqt ask - \"Where is the square?\"
  mqt ask a.png b.png --together -q \"What differs?\"     one answer about both
  mqt ask clip.gif --frames 16 -q \"What happens?\"      one answer about 16 frames of a clip
  mqt ask stills/ --every 5 -q \"Who is at the door?\"   the newest picture of a camera's folder
  mqt ask scene.png \"Describe it\" --draft 4 --refine 64   two answers, the picture is encoded once
  mqt ask scene.png \"Is there a car?\" --choices yes,no  one of these words; --json-schema for JSON
  mqt ask *.png -q \"What is this?\" -o answers.jsonl     run it again after an interruption to continue
  mqt ask *.png -q \"Describe it\" --sidecar .txt         a.txt beside a.png, for each

With -o, each line is an answer as --json prints it, together with the settings that it depends on; all answers in a
file must have the same settings. A picture that already has an answer there is not asked about again. A picture that
cannot be used gets a line too (mqt.failure/1); it is tried again the next time and does not stop the rest, and the
exit code is then 6. --sidecar never changes an existing file; with -o, a missing one is written from the record.

The model can be any checkpoint that --model names; the bundled one knows toy scenes only (see mqt --help).
In --json, timings_ms has the times of this answer only: load and decode_image are 0 where they were not repeated.";

pub(crate) const CHAT: &str = "\
Example:
  mqt chat scene.png -m 16
  printf 'What is this?\\nWhere is it?\\n' | mqt chat scene.png --json

Commands: /m 64 or /m auto, /image other.png, /images, /forget [N], /refine [M], /stats, /new, /help, /quit.
Any other word that begins with / is an error.
On a terminal, questions can be edited and recalled. Otherwise each line of stdin is a question; then, if the picture
of an /image cannot be used, questions are refused until the next /image, so that none is about the wrong picture.";

pub(crate) const COMPARE: &str = "\
Example:
  mqt compare scene.png \"How many circles are there?\" --tokens 2,16,64

The picture is encoded once; the answers come in order of m, smallest first.";

pub(crate) const ATTENTION: &str = "\
Examples:
  mqt attention scene.png -m 16 -o reads.png
  mqt attention --answer -q \"What colour is the car?\" scene.png -o looked.png

Draws weights over the picture, relative to the largest. Without --answer: where the image tokens get their values from
(the resampler map), drawn over what the model sees; it is a constant of the model, the same for every picture. For a
model without a resampler: the patches that averages read (`--select pool`), or those of all tokens of one square.

With --answer: the attention of the answer's tokens to the image tokens, averaged over the heads and the middle third of
the decoder's layers, and mapped back to the picture. It shows where the decoder looked, not why it answered as it did;
docs/attention.md says how often that is the thing that was asked about. Several pictures are asked about together and
drawn side by side.";

pub(crate) const TRACE: &str = "\
Example:
  mqt trace scene.png \"What is this?\" -m 16 --model ./checkpoint --weights f32 -o trace.safetensors

With --weights f32 (recommended here) every tensor equals a PyTorch run of the reference to f32 rounding:
  pixel_values [3, S, S]   vision_features [patches, d_vision]   visual_tokens [m, hidden]
  input_ids int32, one -200 for each run of image tokens   logits [positions, vocab], image tokens included
For models that cut pictures into squares, the shapes of the first two begin with [squares, …]. Where tokens were chosen by
spread or at random, selected [m] int32 says which.";

pub(crate) const EVAL: &str = "\
Example:
  mqt eval questions.jsonl --images pictures --tokens 2,16,64 -o answers.jsonl

A line of questions.jsonl: {\"question_id\": 1, \"image\": \"a.png\", \"text\": \"What is this?\", \"answer\": \"a star\", \"kind\": \"what\"}
A question about several pictures has \"image\": [\"a.png\", \"b.png\"].
A line of answers.jsonl: question_id, prompt, text, answer_id, model_id, metadata (image_tokens; asked, where the picture
gives fewer; image; milliseconds). Several questions may share a question_id. After an interruption, run the command again:
existing answers stay, the rest is added; a line that was cut off or damaged is reported and left out, and its question is
asked again. Questions with an answer are scored by exact match (case and a final full stop do not count), for each m and
kind, on stderr; --summary and --plot write the scores to files. Pictures are regular files below --images; a picture
outside that folder needs --allow-outside.

Any scheduler can distribute the work, and the joined answers are scored without running the model:
  mqt eval questions.jsonl --images pictures --shard 1/8 -o part-1.jsonl     and so on to 8/8
  cat part-*.jsonl > answers.jsonl && mqt eval questions.jsonl --images pictures -o answers.jsonl --plot accuracy.svg";

pub(crate) const SERVE: &str = "\
Examples:
  mqt serve
  mqt serve --model ./mqt-7b-q4 --port 9000 --media-dir ./pictures
  curl http://127.0.0.1:8080/v1/models

OpenAI's own clients work: base_url is http://127.0.0.1:8080/v1, and /v1/models lists the model's name. Pictures are sent
as data: URLs. detail says how many image tokens are read: low is up to 16, high is all, auto is as many as --target-ms
allows; image_tokens in a request sets a number. One request is answered at a time; the others wait, and clients take turns.
The address is written to stdout. The log goes to stderr as JSON, without pictures, prompts and answers. Ctrl-C or SIGTERM
ends the server: waiting requests have --grace seconds to be answered. docs/serve.md has every field and every limit.";

pub(crate) const CONVERT: &str = "\
Example:
  mqt convert ./MQT-LLaVA-7b -o mqt-7b-q4 --weights q4
  mqt convert ./llava-v1.5-7b -o llava-7b-q4 --vision-tower ./clip-vit-large-patch14-336
  mqt convert llava-v1.5-7b-Q6_K.gguf --mmproj llava-v1.5-7b-mmproj-f16.gguf -o llava-7b-q4
  mqt ask photo.jpg \"What is unusual?\" --model mqt-7b-q4";

pub(crate) const VERIFY: &str = "\
Example:
  mqt verify mqt-7b-q4";

pub(crate) const PULL: &str = "\
Examples:
  mqt pull gordonhu/MQT-LLaVA-7b
  mqt pull https://example.org/mqt-7b-q4/manifest.json
  mqt ask photo.jpg \"What is unusual?\" --model \"$(mqt pull owner/name --quiet)\"

HF_ENDPOINT names another server, HF_TOKEN is the token for it. Sizes and SHA-256 are checked where the server gives
them. An interruption loses nothing: run the command again. A file is resumed if the server marks its version (ETag or
Last-Modified) or its SHA-256 is known; otherwise it is fetched from its start. A file that no pull has written is never
replaced, and a second pull into the same folder waits for the first. The folder is printed on stdout.";

pub(crate) const CACHE: &str = "\
Examples:
  mqt cache ls
  mqt cache verify owner--name
  mqt cache rm owner--name
  mqt cache rm pictures

Models are in the folder that MQT_CACHE names, or else in the user's own cache folder. mqt also keeps encoded pictures
there (from ask, chat and compare; at most 512 MiB, those used least recently are deleted first), so that none is encoded
twice; --no-picture-cache turns that off.";

pub(crate) const INSPECT: &str = "\
Example:
  mqt inspect ./MQT-LLaVA-7b --json
  mqt inspect llava-v1.5-7b-Q6_K.gguf";

pub(crate) const BENCH: &str = "\
Example:
  mqt bench
  mqt bench --shape mqt-llava-7b --json --plot bench.svg
  mqt bench --tune --profile --batches 1,2,4,8,16
  mqt bench --model ./mqt-7b-q4 --adapter nvidia --tokens 2,16,256

Every figure is a median; slow stages have only a few runs. What a device cannot measure is left out (null in --json).
Compare ratios within one run; on a busy machine even those vary.";

pub(crate) const MODELS: &str = "\
Example:
  mqt models
  mqt pull HuggingFaceTB/SmolVLM-256M-Instruct
  mqt ask photo.jpg \"What is this?\" --model HuggingFaceTB/SmolVLM-256M-Instruct

`memory` is the device memory that a model needs with --weights auto and its default context.";

pub(crate) const DOCTOR: &str = "\
Example:
  mqt doctor                       a few seconds: one test of each kernel, on the device in use
  mqt doctor --all                 every test on every adapter, and how fast each device is
  mqt doctor --adapter cpu --json

A software driver compiles for a long time before it computes. Until it has been measured (by --all, `mqt bench --tune`
or any answer with --adapter), it is not used, and its kernels are tested for 5 seconds at most.
The exit code is 0 if mqt works here, on a GPU or only on the processor.";

pub(crate) const CHAT_COMMANDS: &str = "\
  /m 64         read the picture with 64 image tokens from now on (/m auto: as many as --target-ms allows)
  /image b.png  add a picture to the conversation
  /images       list the pictures
  /forget [N]   remove picture N; without N, all pictures and questions
  /refine [M]   ask the last question again with M image tokens (default: all)
  /stats        how long the last answer took, and how fast this device is
  /new          forget the questions, keep the pictures
  /quit         quit (also Ctrl-D)
Ctrl-C stops an answer.";
