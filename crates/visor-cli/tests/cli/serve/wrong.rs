//! Requests that cannot be followed, one by one: what each is told. After all of them the server
//! answers as before.

use super::client::*;
use crate::common::{QUESTION, gradient, png};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::DynamicImage;
use serde_json::{Value, json};

/// What is sent, and the status, code and field of the error.
type Case = (Value, u16, &'static str, &'static str);

fn sound() -> Value {
    json!({"model": "nano", "messages": [{"role": "user", "content": QUESTION}]})
}

/// The sound request with one field changed.
fn changed(field: &str, value: Value) -> Value {
    let mut body = sound();
    body[field] = value;
    body
}

fn said(messages: Value) -> Value {
    changed("messages", messages)
}

fn parts(parts: Value) -> Value {
    let mut message = json!({"role": "user"});
    message["content"] = parts;
    said(json!([message]))
}

fn shown(url: &str) -> Value {
    about(QUESTION, &[url.to_owned()])
}

fn check(cases: Vec<Case>) {
    let server = Server::start(&[]);
    for (body, status, code, param) in cases {
        let sent: String = body.to_string().chars().take(200).collect();
        let answer = server.post(&body);
        assert_eq!(answer.status, status, "{sent}: {}", answer.body);
        assert_eq!(answer.error(status), code, "{sent}");
        let told = &answer.json()["error"];
        let told = told["param"].as_str().unwrap_or_default();
        assert!(told.starts_with(param), "{sent}: it is about `{told}`");
    }
    server.post(&sound()).ok();
    assert!(server.log().lines().all(|line| !line.contains("should not happen")));
}

const VALUE: &str = "invalid_value";
const UNSUPPORTED: &str = "unsupported_parameter";

#[test]
fn fields_that_cannot_be_followed_are_refused_by_name() {
    let five = json!(["a", "b", "c", "d", "e"]);
    let audio = json!({"voice": "alloy", "format": "wav"});
    check(vec![
        (json!([]), 400, "invalid_json", ""),
        (json!("text"), 400, "invalid_json", ""),
        (json!(null), 400, "invalid_json", ""),
        (json!({}), 400, VALUE, "model"),
        (changed("model", json!(7)), 400, VALUE, "model"),
        (changed("model", json!("")), 400, VALUE, "model"),
        (changed("model", json!("x".repeat(300))), 400, VALUE, "model"),
        (changed("model", json!("nano@")), 400, VALUE, "model"),
        (changed("model", json!("gpt-4o")), 404, "model_not_found", "model"),
        (changed("model", json!("../nano")), 404, "model_not_found", "model"),
        (changed("model", json!("nano@sa99")), 400, VALUE, "visor.budget"),
        (changed("model", json!("nano@SA1")), 400, VALUE, "visor.budget"),
        (changed("n", json!(2)), 400, UNSUPPORTED, "n"),
        (changed("n", json!(-1)), 400, UNSUPPORTED, "n"),
        (changed("tools", json!([{"type": "function"}])), 400, UNSUPPORTED, "tools"),
        (changed("tool_choice", json!("auto")), 400, UNSUPPORTED, "tool_choice"),
        (changed("functions", json!([{}])), 400, UNSUPPORTED, "functions"),
        (changed("logprobs", json!(true)), 400, UNSUPPORTED, "logprobs"),
        (changed("logit_bias", json!({"5": 100})), 400, UNSUPPORTED, "logit_bias"),
        (changed("response_format", json!({"type": "json_object"})), 400, UNSUPPORTED, "response"),
        (changed("frequency_penalty", json!(0.5)), 400, UNSUPPORTED, "frequency_penalty"),
        (changed("presence_penalty", json!(-2)), 400, UNSUPPORTED, "presence_penalty"),
        (changed("modalities", json!(["text", "audio"])), 400, UNSUPPORTED, "modalities"),
        (changed("audio", audio), 400, UNSUPPORTED, "audio"),
        (changed("n_discard", json!(-1)), 400, UNSUPPORTED, "n_discard"),
        (changed("x".repeat(5000).as_str(), json!(1)), 400, UNSUPPORTED, "xxx"),
        (changed("max_tokens", json!(0)), 400, VALUE, "max_tokens"),
        (changed("max_tokens", json!(-1)), 400, VALUE, "max_tokens"),
        (changed("max_tokens", json!(1.5)), 400, VALUE, "max_tokens"),
        (changed("max_tokens", json!("9")), 400, VALUE, "max_tokens"),
        (changed("max_tokens", json!(1_000_000_000)), 400, VALUE, "max_tokens"),
        (changed("max_tokens", json!(4000)), 400, "context_length_exceeded", "messages"),
        (changed("max_tokens", json!(u64::MAX)), 400, VALUE, "max_tokens"),
        (
            with(changed("max_tokens", json!(1)), &json!({"max_completion_tokens": 2})),
            400,
            VALUE,
            "max_completion_tokens",
        ),
        (changed("temperature", json!(-1)), 400, VALUE, "temperature"),
        (changed("temperature", json!("hot")), 400, VALUE, "temperature"),
        (changed("top_p", json!(0.5)), 400, VALUE, "top_p"),
        (with(changed("top_p", json!(2)), &json!({"temperature": 1})), 400, VALUE, "top_p"),
        (with(changed("top_k", json!(0)), &json!({"temperature": 1})), 400, VALUE, "top_k"),
        (changed("seed", json!(-3)), 400, VALUE, "seed"),
        (changed("seed", json!(1.5)), 400, VALUE, "seed"),
        (changed("stop", json!("")), 400, VALUE, "stop"),
        (changed("stop", five), 400, VALUE, "stop"),
        (changed("stop", json!(7)), 400, VALUE, "stop"),
        (changed("stop", json!(["x".repeat(1000)])), 400, VALUE, "stop"),
        (changed("stream", json!("yes")), 400, VALUE, "stream"),
        (changed("stream_options", json!({"include_usage": true})), 400, VALUE, "stream_options"),
        (
            with(changed("stream", json!(true)), &json!({"stream_options": {"colour": 1}})),
            400,
            UNSUPPORTED,
            "stream_options.colour",
        ),
        (changed("visor", json!(7)), 400, VALUE, "visor"),
        (changed("visor", json!({"colour": 1})), 400, UNSUPPORTED, "visor.colour"),
        (changed("visor", json!({"budget": 7})), 400, VALUE, "visor.budget"),
        (changed("visor", json!({"budget": "sa99"})), 400, VALUE, "visor.budget"),
        (changed("visor", json!({"max_gflops": 0})), 400, VALUE, "visor.max_gflops"),
        (changed("visor", json!({"max_gflops": -1})), 400, VALUE, "visor.max_gflops"),
        (changed("visor", json!({"max_gflops": 1e-9})), 400, VALUE, "visor.max_gflops"),
        (
            changed("visor", json!({"max_gflops": 1e-6, "budget": "sa3"})),
            400,
            VALUE,
            "visor.max_gflops",
        ),
        (changed("visor", json!({"thrift": -1})), 400, VALUE, "visor.thrift"),
        (changed("visor", json!({"thrift": 1, "budget": "sa1"})), 400, VALUE, "visor.thrift"),
        (changed("visor", json!({"patches": 0})), 400, VALUE, "visor.patches"),
        (changed("visor", json!({"patches": "some"})), 400, VALUE, "visor.patches"),
        (changed("visor", json!({"max_tiles": 0})), 400, VALUE, "visor.max_tiles"),
        (
            with(changed("model", json!("nano@sa1")), &json!({"visor": {"budget": "sa2"}})),
            400,
            VALUE,
            "visor.budget",
        ),
    ]);
}

#[test]
fn messages_that_cannot_be_asked_are_refused() {
    let user = |content: Value| json!({"role": "user", "content": content});
    let image = json!({"type": "image_url", "image_url": {"url": data_url(&picture(1))}});
    check(vec![
        (said(json!([])), 400, VALUE, "messages"),
        (said(json!({"role": "user"})), 400, VALUE, "messages"),
        (said(json!(vec![user(json!("a")); 257])), 400, VALUE, "messages"),
        (said(json!([7])), 400, VALUE, "messages[0]"),
        (said(json!([{"role": "judge", "content": "a"}])), 400, VALUE, "messages[0].role"),
        (said(json!([{"role": "tool", "content": "a"}])), 400, VALUE, "messages[0].role"),
        (said(json!([{"content": "a"}])), 400, VALUE, "messages[0].role"),
        (said(json!([{"role": "user"}])), 400, VALUE, "messages[0].content"),
        (said(json!([user(json!(7))])), 400, VALUE, "messages[0].content"),
        (
            said(json!([user(json!("a")), {"role": "assistant", "content": "b"}])),
            400,
            VALUE,
            "messages",
        ),
        (
            said(json!([{"role": "user", "content": "a", "name": "me"}])),
            400,
            UNSUPPORTED,
            "messages[0].name",
        ),
        (
            said(json!([{"role": "assistant", "content": [image.clone()]}, user(json!("a"))])),
            400,
            UNSUPPORTED,
            "messages[0].content[0].type",
        ),
        (said(json!([user(json!(""))])), 400, VALUE, "messages"),
        (said(json!([user(json!("red <eos> blue"))])), 400, VALUE, "messages"),
        (said(json!([user(json!("<image> red ?"))])), 400, VALUE, "messages"),
        (said(json!([user(json!("red ".repeat(1500)))])), 400, VALUE, "messages"),
        (
            said(json!([user(json!("a ".repeat(1 << 18)))])),
            400,
            "context_length_exceeded",
            "messages",
        ),
        (parts(json!([{"text": "a"}])), 400, VALUE, "messages[0].content[0].type"),
        (parts(json!([{"type": "text"}])), 400, VALUE, "messages[0].content[0].text"),
        (parts(json!([{"type": "text", "text": 7}])), 400, VALUE, "messages[0].content[0].text"),
        (
            parts(json!([{"type": "text", "text": "a", "bold": true}])),
            400,
            UNSUPPORTED,
            "messages[0].content[0].bold",
        ),
        (
            parts(json!([{"type": "input_audio", "input_audio": {"data": ""}}])),
            400,
            UNSUPPORTED,
            "messages[0].content[0].type",
        ),
        (
            parts(json!([{"type": "file", "file": {}}])),
            400,
            UNSUPPORTED,
            "messages[0].content[0].type",
        ),
        (
            parts(json!([{"type": "video_url", "video_url": {"url": "a"}}])),
            400,
            UNSUPPORTED,
            "messages[0].content[0].type",
        ),
        (parts(json!([{"type": "hologram"}])), 400, VALUE, "messages[0].content[0].type"),
        (
            parts(json!([{"type": "image_url", "image_url": "a.png"}])),
            400,
            VALUE,
            "messages[0].content[0].image_url",
        ),
        (
            parts(json!([{"type": "image_url", "image_url": {}}])),
            400,
            VALUE,
            "messages[0].content[0].image_url.url",
        ),
        (
            parts(json!([{"type": "image_url", "image_url": {"url": data_url(&picture(1)),
            "detail": "extreme"}}])),
            400,
            VALUE,
            "messages[0].content[0].image_url.detail",
        ),
        (about(QUESTION, &vec![data_url(&picture(1)); 9]), 400, "too_many_pictures", "messages[0]"),
    ]);
}

/// A PNG whose header claims a size that it does not have.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = picture(1);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    // The check sum of the header must be right for anybody to look further.
    let sum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

fn of_size(width: u32, height: u32) -> Vec<u8> {
    png(&DynamicImage::ImageRgb8(gradient(width, height)))
}

#[test]
fn pictures_that_cannot_or_must_not_be_read_are_refused() {
    let url = "messages[0].content[0].image_url.url";
    let (large, shape, unreadable) = ("picture_too_large", "picture_shape", "picture_unreadable");
    let text = |kind: &str, body: &[u8]| format!("data:{kind};base64,{}", STANDARD.encode(body));
    let whole = picture(1);
    // 13300 squared of nothing: half a megabyte of file, half a gigabyte of pixels.
    let bomb = png(&DynamicImage::ImageLuma8(image::GrayImage::new(13_300, 13_300)));
    let mut gif = b"GIF89a".to_vec();
    gif.extend([0xff; 4]);
    gif.extend([0, 0, 0, 0x2c, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 2, 0, 0x3b]);
    check(vec![
        (shown("data:image/png;base64,!!!!"), 400, VALUE, url),
        (shown("data:image/png;base64,AAA\nAAA"), 400, VALUE, url),
        (shown("data:image/png;base64"), 400, VALUE, url),
        (shown("data:image/png,AAAA"), 400, VALUE, url),
        (shown("data:,AAAA"), 400, VALUE, url),
        (shown("data:"), 400, VALUE, url),
        (shown(&text("text/html", b"<b>")), 400, VALUE, url),
        (shown(&text("application/octet-stream", &whole)), 400, VALUE, url),
        (shown("data:image/png;base64,"), 400, unreadable, "picture 1"),
        (shown(&text("image/svg+xml", b"<svg/>")), 400, unreadable, "picture 1"),
        (shown(&data_url(b"no picture")), 400, unreadable, "picture 1"),
        (shown(&data_url(&whole[..whole.len() / 2])), 400, unreadable, "picture 1"),
        (shown(&data_url(&whole[..30])), 400, unreadable, "picture 1"),
        (shown(&data_url(&of_size(1, 1))), 400, shape, "picture 1"),
        (shown(&data_url(&of_size(7, 48))), 400, shape, "picture 1"),
        (shown(&data_url(&of_size(1, 5000))), 400, shape, "picture 1"),
        (shown(&data_url(&of_size(8, 1601))), 400, shape, "picture 1"),
        (shown(&data_url(&of_size(8193, 64))), 400, large, "picture 1"),
        (shown(&data_url(&bomb)), 400, large, "picture 1"),
        (shown(&data_url(&claims(8000, 8000))), 400, large, "picture 1"),
        (shown(&data_url(&claims(0, 48))), 400, unreadable, "picture 1"),
        (shown(&data_url(&claims(u32::MAX, u32::MAX))), 400, large, "picture 1"),
        (shown(&data_url(&claims(4096, 4096))), 400, unreadable, "picture 1"),
        (shown(&text("image/gif", &gif)), 400, large, "picture 1"),
        (about(QUESTION, &[data_url(&whole), data_url(b"x")]), 400, unreadable, "picture 2"),
        (shown("file:///etc/passwd"), 400, VALUE, url),
        (shown("/etc/passwd"), 400, VALUE, url),
        (shown("ftp://example.org/a.png"), 400, VALUE, url),
        (shown("javascript:alert(1)"), 400, VALUE, url),
        (shown("picture.png"), 400, VALUE, url),
        (shown(""), 400, VALUE, url),
        (shown("http://example.org/a.png"), 400, "remote_images_off", "image_url.url"),
        (shown("https://example.org/a.png"), 400, "remote_images_off", "image_url.url"),
        (shown("HTTP://169.254.169.254/"), 400, "remote_images_off", "image_url.url"),
    ]);
}

#[test]
fn a_prompt_and_a_picture_stand_in_no_log_whatever_becomes_of_them() {
    let server = Server::start(&["--log-level", "trace", "--log", "json"]);
    let secret = "colour at r4 c5 ? correcthorsebatterystaple";
    let url = data_url(&picture(1));
    let shown = std::slice::from_ref(&url);
    server.post(&about(secret, shown)).ok();
    server.post(&with(about(secret, shown), &json!({"visor": {"budget": "sa99"}})));
    server.post(&with(about(secret, shown), &json!({"stream": true})));
    server.post(&about(&format!("{secret} <eos>"), shown)).error(400);
    server.post(&about(secret, &["data:image/png;base64,correcthorse".to_owned()])).error(400);
    server.send("GET", "/correcthorsebatterystaple?correcthorse", &["host: localhost"], b"");
    server.says(&["/v1/chat/completions"]);
    let log = server.log();
    assert!(log.contains("/v1/chat/completions"), "{log}");
    assert!(!log.contains("correcthorse"), "{log}");
    assert!(!log.contains(&url[60..100]), "{log}");
    for line in log.lines().filter(|line| line.contains("\"answered\"")) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["request"].as_str().unwrap().len(), 32);
    }
}
