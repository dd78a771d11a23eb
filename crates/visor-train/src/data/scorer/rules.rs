//! The comparisons that benchmarks prescribe, each as its own evaluation does it.

use super::spoken::spoken;

/// Similarity that an answer must be above for ANLS to give anything.
const ANLS_THRESHOLD: f64 = 0.5;
/// People who must give an answer for VQA to count it whole.
const VQA_AGREEMENT: f32 = 3.0;
/// How far a number may be off in charts, as a share of it.
const TOLERANCE: f64 = 0.05;
/// Bytes of an answer in which MME looks for yes and no.
const MME_PREFIX: usize = 4;

pub(super) fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The same with one space between words.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

pub(super) fn given(right: bool) -> f32 {
    if right { 1.0 } else { 0.0 }
}

/// As VQA's script: each person is left out in turn, the answer is worth a third for each of the
/// others who gave it, up to one. With fewer than four people one is enough.
pub(super) fn vqa(answer: &str, accepted: &[String]) -> f32 {
    let answer = spoken(answer);
    let same: Vec<bool> = accepted.iter().map(|other| spoken(other) == answer).collect();
    let agree = same.iter().filter(|&&same| same).count() as f32;
    if accepted.len() < 4 {
        return given(agree > 0.0);
    }
    let others = |own: &bool| agree - f32::from(u8::from(*own));
    let worth: f32 = same.iter().map(|own| (others(own) / VQA_AGREEMENT).min(1.0)).sum();
    worth / same.len() as f32
}

/// As A-OKVQA's script for direct answers: a third for each person who gave it, up to one.
pub(super) fn agreement(answer: &str, accepted: &[String]) -> f32 {
    let answer = folded(answer);
    let agree = accepted.iter().filter(|other| folded(other) == answer).count() as f32;
    (agree / VQA_AGREEMENT).min(1.0)
}

/// Average normalised Levenshtein similarity, as DocVQA's script: letter case and the width of
/// white space do not count.
pub(super) fn anls(answer: &str, accepted: &str) -> f32 {
    let similarity = strsim::normalized_levenshtein(&spaced(answer), &spaced(accepted));
    if similarity > ANLS_THRESHOLD { similarity as f32 } else { 0.0 }
}

/// As ChartQA is scored since Pix2Struct: numbers may be off by a twentieth, the rest must be equal
/// but for case.
pub(super) fn relaxed(answer: &str, accepted: &str) -> bool {
    match (number(answer), number(accepted)) {
        (Some(got), Some(right)) if right != 0.0 => (got - right).abs() / right.abs() <= TOLERANCE,
        _ => folded(answer) == folded(accepted),
    }
}

/// A number, per cent as a share.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let parsed = match text.strip_suffix('%') {
        Some(share) => share.trim_end().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    parsed.is_finite().then_some(parsed)
}

/// As OCRBench: an accepted answer stands somewhere in what was said, but for case and line ends.
pub(super) fn contains(answer: &str, accepted: &str) -> bool {
    let one_line = |text: &str| folded(text).replace('\n', " ");
    let accepted = one_line(accepted);
    !accepted.is_empty() && one_line(answer).contains(&accepted)
}

/// The same for formulas: case counts, and no white space does.
pub(super) fn contains_formula(answer: &str, accepted: &str) -> bool {
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    let accepted = bare(accepted);
    !accepted.is_empty() && bare(answer).contains(&accepted)
}

/// The share of the accepted answer's words that were said, as LLaVA-Med scores open questions.
pub(super) fn recall(answer: &str, accepted: &str) -> f32 {
    let words = |text: &str| -> Vec<String> {
        let plain = |letter: char| !letter.is_alphanumeric() && letter != '-' && letter != '.';
        let words = text.split(|c: char| c.is_whitespace() || plain(c));
        let words = words.map(|word| word.trim_matches('.').to_lowercase());
        words.filter(|word| !word.is_empty()).collect()
    };
    let mut said = words(answer);
    let expected = words(accepted);
    let found = expected.iter().filter(|word| {
        // A word that was said once counts once.
        let place = said.iter().position(|other| other == *word);
        place.map(|place| said.swap_remove(place)).is_some()
    });
    found.count() as f32 / expected.len().max(1) as f32
}

/// Whether what was said names the option: `accepted` is its letter, and behind that its words.
///
/// As ScienceQA's script a letter by itself, with brackets or a period, or in `the answer is B`;
/// where there is none, the option's words.
pub(super) fn choice(answer: &str, accepted: &[String]) -> bool {
    let [letter, words @ ..] = accepted else { return false };
    match named_option(answer) {
        Some(named) => letter.chars().eq([named]),
        None => words.iter().any(|words| bare(words) == bare(answer)),
    }
}

/// The letter of an option that an answer names.
fn named_option(answer: &str) -> Option<char> {
    let answer = answer.trim();
    let behind = answer.to_lowercase().rfind("answer is").and_then(|at| answer.get(at + 9..));
    let text = behind.unwrap_or(answer).trim_start_matches([' ', ':', '(', '*']);
    let mut letters = text.chars();
    let letter = letters.next().filter(char::is_ascii_uppercase)?;
    let rest = letters.as_str();
    let alone = match rest.chars().next() {
        None => true,
        Some(next) => ".):,*\n".contains(next),
    };
    // "A cat" begins with an article, and with an option.
    alone.then_some(letter)
}

/// Without white space and punctuation around it, and without case.
pub(super) fn bare(text: &str) -> String {
    let around = |c: char| c.is_whitespace() || c.is_ascii_punctuation();
    text.trim_matches(around).to_lowercase()
}

/// What MME's script takes an answer for: yes or no where it begins with it; nothing else.
pub(super) fn begins_with(answer: &str, word: &str) -> bool {
    let answer = folded(answer);
    let prefix: String = answer.chars().take(MME_PREFIX).collect();
    let said = match (prefix.contains("yes"), prefix.contains("no")) {
        (true, _) => "yes",
        (false, true) => "no",
        (false, false) => "",
    };
    said == word
}

/// What POPE's script takes an answer for: no where its first sentence has no or not, else yes.
pub(super) fn denies(answer: &str) -> bool {
    let sentence = answer.split('.').next().unwrap_or_default().replace(',', "");
    sentence.split(' ').any(|word| ["No", "no", "not"].contains(&word.trim()))
}
