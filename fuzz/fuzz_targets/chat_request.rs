//! Any bytes as the body of a chat completion, with a header in front: parsed or refused, and never
//! more than that.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visor_serve::api::{KnobHeader, RequestLimits, parse};

fuzz_target!(|bytes: &[u8]| {
    let (first, body) = bytes.split_first().unwrap_or((&0, &[]));
    let which = KnobHeader::ALL[usize::from(first % 4)];
    let word = String::from_utf8_lossy(&body[..body.len().min(8)]).into_owned();
    let headers = if first & 4 == 0 { Vec::new() } else { vec![(which, word)] };
    let limits = RequestLimits::default();
    match parse(body, &headers, &limits) {
        Ok(request) => {
            assert!(request.pictures.len() <= limits.pictures);
            assert!(request.messages.len() <= limits.messages);
            assert!(!request.model.base().is_empty() || request.model.whole.starts_with('@'));
        }
        Err(error) => {
            assert!((400..500).contains(&error.status), "{error:?}");
            assert!(error.message.len() < 4096);
        }
    }
});
