//! Answers as VQA's evaluation compares them: without punctuation and articles, small numbers as
//! digits, contractions with their apostrophes.
//!
//! Source: `vqaEvalDemo` of the VQA challenge (`processPunctuation`, `processDigitArticle`).

/// Marks that are dropped: joined where white space is beside one of them anywhere in the text, or
/// where the text has a comma between digits; else they part words.
const MARKS: &str = ";/[]\"{}()=+\\_-><@`,?!";

const ARTICLES: [&str; 3] = ["a", "an", "the"];

const NUMBERS: [(&str, &str); 12] = [
    ("none", "0"),
    ("zero", "0"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
];

/// Contractions, of which any apostrophe may be missing. The challenge's list leaves out those that
/// would be other words without: we'll, she'll, we're.
const CONTRACTIONS: &str = "ain't aren't can't could've couldn't couldn't've didn't doesn't don't \
    hadn't hadn't've hasn't haven't he'd he'd've he's how'd how'll how's i'd've i'm i've isn't it'd \
    it'd've it'll let's ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock \
    oughtn't shan't she'd've she's should've shouldn't shouldn't've somebody'd've somebody'll \
    somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll \
    that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas \
    wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've \
    who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've \
    y'all y'all'll y'all'd've you'd you'd've you'll you're you've";

/// An answer in the form in which it is compared.
pub(super) fn spoken(text: &str) -> String {
    let text = text.replace(['\n', '\t'], " ").trim().to_lowercase();
    let text = without_periods(&without_marks(&text));
    let words = text.split_whitespace().map(word);
    words.filter(|word| !ARTICLES.contains(&word.as_str())).collect::<Vec<_>>().join(" ")
}

fn without_marks(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let grouped = letters
        .windows(3)
        .any(|at| at[0].is_ascii_digit() && at[1] == ',' && at[2].is_ascii_digit());
    let mut out = text.to_owned();
    for mark in MARKS.chars() {
        let beside = text.contains(&format!("{mark} ")) || text.contains(&format!(" {mark}"));
        out = out.replace(mark, if beside || grouped { "" } else { " " });
    }
    out
}

/// Periods go, but for those in front of a digit.
fn without_periods(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let number = letters.peek().is_some_and(char::is_ascii_digit);
        if letter != '.' || number {
            out.push(letter);
        }
    }
    out
}

fn word(word: &str) -> String {
    if let Some((_, digits)) = NUMBERS.iter().find(|(name, _)| *name == word) {
        return (*digits).to_owned();
    }
    let bare = |text: &str| text.replace('\'', "");
    let full = CONTRACTIONS.split_whitespace().find(|full| bare(full) == bare(word));
    full.unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_as_they_are_spoken() {
        for (written, expected) in [
            ("The  two\ncats.", "2 cats"),
            ("1,000", "1000"),
            ("red-brown", "red brown"),
            ("red, brown", "red brown"),
            ("3.5", "3.5"),
            ("3.5.", "3.5"),
            ("None", "0"),
            ("dont", "don't"),
            ("couldnt've", "couldn't've"),
            ("Ma'am!", "ma'am"),
            ("a", ""),
        ] {
            assert_eq!(spoken(written), expected, "{written:?}");
        }
    }
}
