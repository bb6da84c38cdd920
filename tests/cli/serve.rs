//! `mqt serve`: the same answers as `mqt ask`, OpenAI's shapes, and everything that is refused.

use super::served::{Served, about, data_url, request, sample};
use crate::common::mqt;
use serde_json::{Value, json};

const QUESTION: &str = "How many things are there?";

/// What `mqt ask` answers about a sample.
fn asked(n: u32, question: &str, m: u64) -> Value {
    let m = m.to_string();
    mqt(["ask", "--adapter", "cpu", &sample(n), question, "-m", &m, "--json"]).ok().record()
}

/// A question about a sample, and more fields.
fn question(n: u32, more: &Value) -> Value {
    request(&json!([about(&data_url(n), QUESTION)]), more)
}

#[test]
fn an_answer_is_the_one_that_ask_gives() {
    let served = Served::start(&[]);
    for n in [1, 2] {
        for (fields, m) in [(json!({"image_tokens": 16}), 16), (json!({"image_tokens": 3}), 3)] {
            let wanted = asked(n, QUESTION, m);
            let reply = served.chat(&question(n, &fields));
            assert_eq!(reply.text(), wanted["answer"].as_str().unwrap(), "{reply:#?}");
            let (reply, details) = (reply.json(), "prompt_tokens_details");
            let usage = &reply["usage"];
            assert_eq!(usage["prompt_tokens"], wanted["prompt_tokens"]);
            assert_eq!(usage["completion_tokens"], wanted["completion_tokens"]);
            assert_eq!(usage[details]["image_tokens"], m);
            assert_eq!(reply["choices"][0]["finish_reason"], "stop");
            assert_eq!(
                (&reply["object"], &reply["model"]),
                (&"chat.completion".into(), &"toybox".into())
            );
            // Asked again, nothing but the last token is read again, and no picture encoded.
            let again = served.chat(&question(n, &fields)).json();
            let usage = &again["usage"];
            assert_eq!(
                usage[details]["cached_tokens"],
                usage["prompt_tokens"].as_u64().unwrap() - 1
            );
            assert_eq!(again["timings"]["vision_runs"], 0);
            assert_eq!(again["choices"], reply["choices"]);
        }
    }
    // A picture that was there before is not encoded again.
    assert_eq!(served.chat(&question(1, &json!({}))).json()["timings"]["vision_runs"], 0);
    assert_eq!(served.metric("mqt_vision_runs_total"), 2);
}

#[test]
fn detail_says_how_many_image_tokens_are_read() {
    let served = Served::start(&[]);
    let read = |image: Value, more: Value| {
        let content =
            json!([{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": image}]);
        let reply = served.chat(&request(&json!([{"role": "user", "content": content}]), &more));
        reply.json()["usage"]["prompt_tokens_details"]["image_tokens"]
            .as_u64()
            .unwrap_or_else(|| panic!("{reply:#?}"))
    };
    let url = data_url(1);
    let base64 = url.split_once(',').unwrap().1;
    assert_eq!(read(json!({"url": url, "detail": "low"}), json!({})), 16);
    assert_eq!(read(json!({"url": base64, "detail": "high"}), json!({})), 64);
    assert!((1..=64).contains(&read(json!(url), json!({}))));
    assert_eq!(read(json!({"url": url, "detail": "high"}), json!({"image_tokens": 5})), 5);
    let text = served.chat(&request(&json!([{"role": "user", "content": "Hello"}]), &json!({})));
    assert_eq!(text.json()["usage"]["prompt_tokens_details"]["image_tokens"], 0, "{text:#?}");
}

/// The turns of a chat, sent as OpenAI's clients send them: by a server that has had them, and by
/// one that has not.
#[test]
fn earlier_turns_are_part_of_the_conversation() {
    let questions = ["what do you see?", "where is the car?", "is there a dog"];
    let chat = mqt(["chat", "--adapter", "cpu", &sample(1), "-m", "16", "--json"]);
    let records = chat.stdin(questions.join("\n")).ok().records();
    let answers: Vec<&str> =
        records.iter().map(|record| record["answer"].as_str().unwrap()).collect();
    let served = Served::start(&[]);
    let fields = json!({"image_tokens": 16});
    let mut messages = vec![about(&data_url(1), questions[0])];
    for (i, answer) in answers.iter().enumerate() {
        let reply = served.chat(&request(&json!(messages), &fields));
        assert_eq!(reply.text(), *answer, "turn {i}");
        assert_eq!(reply.json()["usage"]["prompt_tokens"], records[i]["prompt_tokens"], "turn {i}");
        assert!(
            i == 0
                || reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
                    == records[i]["cached_tokens"]
        );
        if i == 2 {
            let other = Served::start(&[]).chat(&request(&json!(messages), &fields));
            assert_eq!(other.text(), *answer);
            assert_eq!(other.json()["usage"]["prompt_tokens"], records[i]["prompt_tokens"]);
            break;
        }
        messages.push(json!({"role": "assistant", "content": answer}));
        messages.push(json!({"role": "user", "content": questions[i + 1]}));
    }
}

/// Two pictures in one message are what `ask --together` makes of them; one of a later message is
/// what `/image` adds to a chat.
#[test]
fn pictures_stand_before_the_words_that_they_came_with() {
    let served = Served::start(&[]);
    let fields = json!({"image_tokens": 16});
    let together = |first: u32, second: u32| {
        let (a, b) = (sample(first), sample(second));
        let line = ["ask", "--adapter", "cpu", &a, &b, "--together", "-m", "16", "--json", "-q"];
        mqt(line.into_iter().chain([QUESTION])).ok().record()
    };
    let picture = |n: u32| json!({"type": "image_url", "image_url": {"url": data_url(n)}});
    for (first, second) in [(1, 2), (2, 1), (1, 1)] {
        let wanted = together(first, second);
        let words = json!({"type": "text", "text": QUESTION});
        let content = json!([picture(first), picture(second), words]);
        let messages = json!([{"role": "user", "content": content}]);
        let reply = served.chat(&request(&messages, &fields));
        assert_eq!(reply.text(), wanted["answer"].as_str().unwrap(), "{reply:#?}");
        let usage = &reply.json()["usage"];
        assert_eq!(usage["prompt_tokens"], wanted["prompt_tokens"]);
        assert_eq!(usage["prompt_tokens_details"]["image_tokens"], 32);
    }

    let lines = format!("what do you see?\n/image {}\nand here?\n", sample(2));
    let chat = mqt(["chat", "--adapter", "cpu", &sample(1), "-m", "16", "--json"]);
    let records = chat.stdin(lines).ok().records();
    let answer = |i: usize| records[i]["answer"].as_str().unwrap();
    let first = about(&data_url(1), "what do you see?");
    let one = served.chat(&request(&json!([first]), &fields));
    assert_eq!(one.text(), answer(0));
    let told = json!({"role": "assistant", "content": answer(0)});
    let messages = json!([first, told, about(&data_url(2), "and here?")]);
    for server in [&served, &Served::start(&[])] {
        let two = server.chat(&request(&messages, &fields));
        assert_eq!(two.text(), answer(1), "{two:#?}");
        assert_eq!(two.json()["usage"]["prompt_tokens"], records[1]["prompt_tokens"]);
    }
    assert_eq!(served.metric("mqt_vision_runs_total"), 2);
}

#[test]
fn a_system_message_opens_the_conversation() {
    let served = Served::start(&[]);
    let system = "Answer with one word.";
    let line =
        ["ask", "--adapter", "cpu", &sample(1), QUESTION, "-m", "16", "--json", "--system", system];
    let wanted = mqt(line).ok().record();
    let messages = json!([{"role": "system", "content": system}, about(&data_url(1), QUESTION)]);
    let reply = served.chat(&request(&messages, &json!({"image_tokens": 16})));
    assert_eq!(reply.text(), wanted["answer"].as_str().unwrap());
    assert_eq!(reply.json()["usage"]["prompt_tokens"], wanted["prompt_tokens"]);
    // The next one without it has the model's own again.
    let own = served.chat(&question(1, &json!({"image_tokens": 16}))).json();
    assert_eq!(own["usage"]["prompt_tokens"], asked(1, QUESTION, 16)["prompt_tokens"]);
}

#[test]
fn a_stream_is_the_answer_in_pieces() {
    let served = Served::start(&[]);
    let messages = json!([about(&data_url(1), "what do you see?")]);
    let whole = served.chat(&request(&messages, &json!({"image_tokens": 16})));
    let streaming =
        json!({"image_tokens": 16, "stream": true, "stream_options": {"include_usage": true}});
    let events = served.chat(&request(&messages, &streaming)).events();
    let pieces: Vec<&str> = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(pieces.concat(), whole.text());
    assert!(pieces.len() > 3, "{pieces:?}");
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let [.., closing, usage] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(closing["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], whole.json()["usage"]["total_tokens"]);
    let ids: Vec<&Value> = events.iter().map(|event| &event["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.is_string()), "{ids:?}");
    // Without being asked for, no usage; stop strings and the most tokens end it.
    let stopped =
        served.chat(&request(&messages, &json!({"image_tokens": 16, "stream": true, "stop": ","})));
    let text: String = stopped
        .events()
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, whole.text().split(',').next().unwrap());
    assert!(stopped.events().iter().all(|event| event.get("usage").is_none()));
    let cut =
        served.chat(&request(&messages, &json!({"image_tokens": 16, "max_tokens": 1}))).json();
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert_eq!(cut["usage"]["completion_tokens"], 1);
}

#[test]
fn what_is_not_honoured_is_refused_by_name_or_listed() {
    let served = Served::start(&[]);
    for (more, param) in [
        (json!({"n": 2}), "n"),
        (json!({"tools": [{"type": "function"}]}), "tools"),
        (json!({"response_format": {"type": "grammar"}}), "response_format"),
        (json!({"presence_penalty": 0.5}), "presence_penalty"),
        (json!({"logit_bias": {"5": 1}}), "logit_bias"),
        (json!({"guided_json": {"type": "object"}}), "guided_json"),
    ] {
        served.chat(&question(1, &more)).refused(400, "unsupported_value", Some(param));
    }
    for (more, param) in [
        (json!({"temperature": 2.5}), "temperature"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_p": -0.1}), "top_p"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 1, "max_completion_tokens": 2}), "max_completion_tokens"),
        (json!({"stop": [1]}), "stop"),
        (json!({"stop": vec!["x"; 17]}), "stop"),
        (json!({"seed": 1.5}), "seed"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": {"include_usage": true}}), "stream_options"),
        (json!({"image_tokens": 0}), "image_tokens"),
        (json!({"image_tokens": 65}), "image_tokens"),
        (json!({"model": 7}), "model"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
    ] {
        served.chat(&question(1, &more)).refused(400, "invalid_value", Some(param));
    }
    served.chat(&question(1, &json!({"model": "gpt-4o"}))).refused(
        404,
        "model_not_found",
        Some("model"),
    );
    for body in ["", "{", "[]", "\u{1f600}", &"[".repeat(100_000)] {
        served.request("POST /v1/chat/completions", &[], body.as_bytes()).refused(
            400,
            "invalid_json",
            None,
        );
    }
    let more = json!({
        "user": "someone", "parallel_tool_calls": true, "n": 1, "frequency_penalty": 0, "tools": [],
        "response_format": {"type": "text"}, "seed": -1, "top_k": 5, "temperature": null,
    });
    let mut body = question(1, &more);
    body["messages"][0]["name"] = "someone".into();
    let reply = served.chat(&body);
    assert_eq!(
        reply.header("x-mqt-ignored"),
        Some("parallel_tool_calls, user, messages.name"),
        "{reply:#?}"
    );
    assert_eq!(served.chat(&question(1, &json!({}))).header("x-mqt-ignored"), None);
}

#[test]
fn messages_that_are_no_conversation_are_refused() {
    let served = Served::start(&[]);
    let (user, assistant) =
        (json!({"role": "user", "content": "?"}), json!({"role": "assistant", "content": "!"}));
    let part = |part: Value| json!({"role": "user", "content": [part]});
    let picture = |image: Value| part(json!({"type": "image_url", "image_url": image}));
    for (messages, code) in [
        (json!([user, assistant]), "unsupported_value"),
        (json!([assistant, user]), "unsupported_value"),
        (json!([user, assistant, {"role": "system", "content": "x"}]), "unsupported_value"),
        (json!([{"role": "tool", "content": "x"}]), "unsupported_value"),
        (json!([{"role": "owner", "content": "x"}]), "invalid_value"),
        (json!([{"role": "user", "content": " "}]), "invalid_value"),
        (json!([{"role": "user"}]), "invalid_value"),
        (json!(["?"]), "invalid_value"),
        (json!([part(json!({"type": "input_audio"}))]), "unsupported_value"),
        (json!([picture(json!({"url": "data:image/png;base64,@@"}))]), "invalid_image"),
        (json!([picture(json!({"url": data_url(1), "detail": "huge"}))]), "invalid_value"),
        (json!([picture(json!({"detail": "low"}))]), "invalid_value"),
        (json!([about("data:image/png;base64,AAAA", "?")]), "invalid_image"),
    ] {
        let reply = served.chat(&request(&messages, &json!({})));
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, error["code"].as_str()), (400, Some(code)), "{messages} {error}");
        assert!(error["param"].as_str().unwrap().starts_with("messages"), "{error}");
    }
    let long = json!([{"role": "user", "content": "word ".repeat(5000)}]);
    served.chat(&request(&long, &json!({}))).refused(
        400,
        "context_length_exceeded",
        Some("messages"),
    );
}
