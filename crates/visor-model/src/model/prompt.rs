//! A prompt as the decoder takes it: every token with its place.

use crate::placement::{TextToken, TokenMap, VisualToken};
use visor_processor::{EncodedPrompt, ImageSpan};

/// Where the tokens of a prompt stand. One question is one segment.
pub fn token_map(prompt: &EncodedPrompt) -> TokenMap {
    let text = prompt.text_positions().iter().map(|&position| at(position));
    let visual = prompt.images().iter().enumerate().flat_map(|(image, span)| picture(image, *span));
    TokenMap { text: text.collect(), visual: visual.collect() }
}

/// The same with the routing token as the last text token, at the position behind the prompt.
pub(crate) fn with_routing_token(map: &TokenMap, prompt: &EncodedPrompt) -> TokenMap {
    let mut map = map.clone();
    map.text.push(at(prompt.len()));
    map
}

pub(super) fn at(position: usize) -> TextToken {
    TextToken { position, segment: 0 }
}

fn picture(image: usize, span: ImageSpan) -> impl Iterator<Item = VisualToken> {
    (0..span.len).map(move |index| {
        let (row, column) = span.row_col(index);
        VisualToken { position: span.start + index, image, start: span.start, row, column }
    })
}
