//! Pictures of clients: kept between requests, and told apart.

use super::client::*;
use crate::common::QUESTION;
use serde_json::json;

#[test]
fn a_second_question_about_a_picture_finds_it_kept() {
    let server = Server::start(&[]);
    let ask = |question: &str, shift: u8| {
        server.post(&about(question, &[data_url(&picture(shift))])).ok()["usage"]["visor"].clone()
    };
    assert_eq!(ask(QUESTION, 1)["cache_hit"], false);
    let second = ask("count red ?", 1);
    assert_eq!((&second["cache_hit"], &second["cached_pictures"]), (&json!(true), &json!(1)));
    assert!(second["gflops_spent"].as_f64() < second["gflops"].as_f64());
    assert_eq!(ask(QUESTION, 2)["cache_hit"], false);
}

#[test]
fn an_answer_names_its_picture_for_balancers() {
    let server = Server::start(&[]);
    let name = |shift: u8| {
        let answer = server.post(&about(QUESTION, &[data_url(&picture(shift))]));
        answer.header("x-visor-affinity").unwrap().to_owned()
    };
    assert_eq!(name(1), name(1));
    assert_ne!(name(1), name(2));
    let none = server.post(&about(QUESTION, &[]));
    assert_eq!(none.header("x-visor-affinity"), None);
}

#[test]
fn many_clients_at_once_get_their_own_answers() {
    let server = Server::start(&[]);
    let body = |i: u64| {
        let shift = (i % 5) as u8;
        let drawn = json!({"temperature": 50, "seed": i, "max_tokens": 1 + i % 7,
                           "model": format!("nano@sa{}", i % 4)});
        with(about(QUESTION, &[data_url(&picture(shift))]), &drawn)
    };
    let ask = |i: u64| server.post(&body(i)).ok()["choices"].clone();
    let alone: Vec<_> = (0..24).map(ask).collect();
    std::thread::scope(|scope| {
        for client in 0..12 {
            let (ask, alone) = (&ask, &alone);
            scope.spawn(move || {
                for round in 0..4 {
                    let i = (client * 7 + round * 5) % 24;
                    assert_eq!(ask(i), alone[i as usize], "request {i}");
                }
            });
        }
    });
    server.idle();
}

#[test]
fn every_format_that_is_read_is_served() {
    let server = Server::start(&[]);
    let picture = image::DynamicImage::ImageRgb8(crate::common::gradient(48, 48));
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    for format in [Bmp, Gif, Jpeg, Png, WebP] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        server.post(&about(QUESTION, &[data_url(bytes.get_ref())])).ok();
    }
    // Without padding, and under a name in capitals.
    let url = data_url(&super::client::picture(1));
    let url = url.trim_end_matches('=').replace("data:image/png", "DATA:IMAGE/PNG");
    server.post(&about(QUESTION, &[url])).ok();
}
