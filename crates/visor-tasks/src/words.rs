//! The words of questions, answers and captions. One word is one token.

/// The colours of objects, in class order.
pub(crate) const COLOURS: [&str; 6] = ["red", "green", "blue", "yellow", "cyan", "white"];

/// The shapes of objects, in class order.
pub(crate) const SHAPES: [&str; 5] = ["square", "circle", "triangle", "cross", "ring"];

/// The digits, each a word of its own; numbers are read out digit by digit.
pub(crate) const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The sizes of groups, in class order.
pub(crate) const SIZES: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// No and yes, in class order.
pub(crate) const NO_YES: [&str; 2] = ["no", "yes"];

/// Names of rows, from the top.
pub(crate) const ROWS: [&str; 24] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23",
];

/// Names of columns, from the left.
pub(crate) const COLUMNS: [&str; 24] = [
    "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14",
    "c15", "c16", "c17", "c18", "c19", "c20", "c21", "c22", "c23",
];

/// The words that both suites' grid families use beside the lists above.
pub(crate) const GRID_WORDS: [&str; 14] = [
    "?", "colour", "at", "shape", "of", "the", "count", "read", "number", "follow", "group",
    "twin", "arrows", "many",
];

/// The words that are written in pictures: the first half names rows, the second half columns.
pub(crate) const NOUNS: [&str; 32] = [
    "apple", "bean", "corn", "date", "fig", "grape", "kiwi", "lemon", "lime", "mango", "melon",
    "nut", "olive", "peach", "pear", "plum", "jan", "feb", "mar", "apr", "may", "jun", "jul",
    "aug", "sep", "oct", "nov", "dec", "mon", "tue", "wed", "thu",
];

/// The letters at the left ends of wires.
pub(crate) const LETTERS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// The words of questions and captions about pages, beside the lists above.
pub(crate) const PAGE_WORDS: [&str; 24] = [
    "any", "small", "large", "left", "right", "above", "below", "larger", "smaller", "than",
    "digit", "in", "frame", "word", "after", "value", "largest", "tallest", "end", "wire", "text",
    "table", "chart", "wires",
];

/// "yes" or "no".
pub(crate) fn yes_no(yes: bool) -> &'static str {
    NO_YES[usize::from(yes)]
}

/// A count as one word: a digit, or "many" from ten on.
pub(crate) fn quantity(n: usize) -> &'static str {
    DIGITS.get(n).copied().unwrap_or("many")
}
