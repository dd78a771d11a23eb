//! An independent check: reads finished pages back from their pixels and answers their questions again.
//!
//! Objects are found as connected pixels, frames and words by comparing bitmaps everywhere, bars by
//! measuring columns. Wires are checked beside their generator.

use super::canvas::ADVANCE;
use crate::font::{self, GLYPH_HEIGHT, GLYPH_WIDTH};
use crate::shapes::{self, INKS};
use crate::words::{COLOURS, DIGITS, NOUNS, SHAPES};
use crate::{Family, Picture, Split, Suite, SuiteName};

/// Above the lightest ground and the rules of tables with the strongest noise, below all text.
const WRITTEN: u8 = 130;
/// Above the lightest ground with the strongest noise, below the darkest ink of an object.
const INKED: u8 = 90;

/// An object as the pixels show it.
struct Found {
    colour: usize,
    shape: usize,
    radius: i32,
    x: i32,
    y: i32,
}

fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
    let at = (y * picture.size + x) * 3;
    [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
}

/// The pixels of a shape around its centre, in reading order.
fn stencil(shape: usize, radius: i32) -> Vec<(i32, i32)> {
    let spots = (-radius..radius).flat_map(|dy| (-radius..radius).map(move |dx| (dy, dx)));
    spots
        .filter(|(dy, dx)| {
            let (u, v) = ((2 * dx + 1) * shapes::REACH, (2 * dy + 1) * shapes::REACH);
            shapes::covers(shape, u, v, 2 * radius)
        })
        .collect()
}

/// Connected inked pixels, each recognised as the shape that has exactly these pixels.
fn objects(picture: &Picture) -> Vec<Found> {
    let side = picture.size;
    let mut left: Vec<bool> = (0..side * side)
        .map(|at| pixel(picture, at % side, at / side).iter().any(|&value| value > INKED))
        .collect();
    let mut found = Vec::new();
    while let Some(start) = left.iter().position(|&inked| inked) {
        left[start] = false;
        let mut spots = vec![start];
        let mut next = 0;
        while next < spots.len() {
            let at = spots[next];
            for near in [at.wrapping_sub(1), at + 1, at.wrapping_sub(side), at + side] {
                if left.get(near) == Some(&true) {
                    left[near] = false;
                    spots.push(near);
                }
            }
            next += 1;
        }
        spots.sort_unstable();
        found.push(recognise(picture, &spots));
    }
    found
}

fn recognise(picture: &Picture, spots: &[usize]) -> Found {
    let side = picture.size as i32;
    let (top, left) = (spots[0] as i32 / side, spots[0] as i32 % side);
    let mut sum = [0_usize; 3];
    for &at in spots {
        let own = pixel(picture, at % picture.size, at / picture.size);
        (0..3).for_each(|channel| sum[channel] += usize::from(own[channel]));
    }
    let mean = sum.map(|total| (total / spots.len()) as u8);
    let distance = |ink: &[u8; 3]| (0..3).map(|c| u32::from(ink[c].abs_diff(mean[c]))).sum::<u32>();
    let colour = (0..INKS.len()).min_by_key(|&colour| distance(&INKS[colour])).expect("inks");
    for (shape, radius) in (0..5).flat_map(|shape| (8..=22).map(move |radius| (shape, radius))) {
        let own = stencil(shape, radius);
        let (y, x) = (top - own[0].0, left - own[0].1);
        let moved = own.iter().map(|(dy, dx)| ((y + dy) * side + x + dx) as usize);
        if own.len() == spots.len() && moved.eq(spots.iter().copied()) {
            return Found { colour, shape, radius, x, y };
        }
    }
    unreachable!("{} pixels at {left}, {top} are no shape", spots.len())
}

fn answer_about_objects(objects: &[Found], text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let colour = |word: &str| COLOURS.iter().position(|&known| known == word);
    let shape = |word: &str| SHAPES.iter().position(|&known| known == word);
    let large = |object: &&Found| object.radius >= 15;
    let only = |list: Vec<&Found>| {
        assert_eq!(list.len(), 1, "{text}");
        (list[0].colour, list[0].shape, list[0].x, list[0].y, list[0].radius)
    };
    let kind = |c: &str, s: &str| {
        let named = |o: &&Found| Some(o.colour) == colour(c) && Some(o.shape) == shape(s);
        objects.iter().filter(named).collect::<Vec<_>>()
    };
    let yes_no = |yes: bool| if yes { "yes".to_owned() } else { "no".to_owned() };
    match words[0] {
        "any" => yes_no(!kind(words[1], words[2]).is_empty()),
        "colour" | "shape" => {
            let sized = objects.iter().filter(|object| large(object) == (words[3] == "large"));
            if words[0] == "colour" {
                COLOURS[only(sized.filter(|o| Some(o.shape) == shape(words[4])).collect()).0].into()
            } else {
                SHAPES[only(sized.filter(|o| Some(o.colour) == colour(words[4])).collect()).1]
                    .into()
            }
        }
        _ => {
            let a = only(kind(words[0], words[1]));
            let b = only(kind(words[words.len() - 3], words[words.len() - 2]));
            yes_no(match words[2] {
                "left" => a.2 < b.2,
                "right" => a.2 > b.2,
                "above" => a.3 < b.3,
                "below" => a.3 > b.3,
                "larger" => a.4 > b.4,
                _ => a.4 < b.4,
            })
        }
    }
}

/// The digit in the frame of a colour: the border is looked for at every pixel.
fn framed_digit(picture: &Picture, colour: usize) -> String {
    let (width, height) = (11, 13);
    let near = |x, y, ink: [u8; 3]| {
        pixel(picture, x, y).iter().zip(ink).all(|(value, ink)| value.abs_diff(ink) < 28)
    };
    for (y, x) in
        (0..picture.size - height).flat_map(|y| (0..picture.size - width).map(move |x| (y, x)))
    {
        let across = (0..width)
            .all(|i| near(x + i, y, INKS[colour]) && near(x + i, y + height - 1, INKS[colour]));
        let down = (0..height)
            .all(|i| near(x, y + i, INKS[colour]) && near(x + width - 1, y + i, INKS[colour]));
        if across && down {
            return DIGITS[(0..10)
                .find(|&digit| written(picture, DIGITS[digit], x + 3, y + 3, 1))
                .expect("a frame holds a digit")]
            .into();
        }
    }
    unreachable!("no {} frame", COLOURS[colour])
}

/// Whether exactly this text stands at a place.
fn written(picture: &Picture, text: &str, x: usize, y: usize, scale: usize) -> bool {
    let width = (text.len() * ADVANCE - 1) * scale;
    let fits = x + width <= picture.size && y + GLYPH_HEIGHT * scale <= picture.size;
    let characters: Vec<char> = text.chars().collect();
    fits && (0..GLYPH_HEIGHT * scale).all(|dy| {
        (0..width).all(|dx| {
            let (column, row) = (dx / scale, dy / scale);
            let ink = column % ADVANCE < GLYPH_WIDTH
                && font::ink(characters[column / ADVANCE], column % ADVANCE, row);
            ink == (pixel(picture, x + dx, y + dy)[0] > WRITTEN)
        })
    })
}

/// All words and numbers of a page with their corners, in reading order.
fn words_of(picture: &Picture) -> Vec<(usize, usize, String)> {
    let numbers = (0..100).map(|number| format!("{number:02}"));
    let known: Vec<String> = NOUNS.iter().map(|&noun| noun.to_owned()).chain(numbers).collect();
    // Nothing else is written within five columns of a word; inside a word, letters are closer.
    let alone = |x: usize, y: usize, width: usize, scale: usize| {
        let (from, to) = (x.saturating_sub(5 * scale), (x + width + 5 * scale).min(picture.size));
        (y..y + GLYPH_HEIGHT * scale)
            .all(|y| (from..x).chain(x + width..to).all(|x| pixel(picture, x, y)[0] <= WRITTEN))
    };
    let mut words = Vec::new();
    for scale in 1..=3 {
        for (y, x) in (0..picture.size).flat_map(|y| (0..picture.size).map(move |x| (y, x))) {
            // Every glyph has ink in its top row, and nothing stands close to the left of a word.
            let inked = |from: usize, to: usize| {
                (from..to.min(picture.size)).any(|x| pixel(picture, x, y)[0] > WRITTEN)
            };
            if inked(x.saturating_sub(5 * scale), x) || !inked(x, x + GLYPH_WIDTH * scale) {
                continue;
            }
            let word = known.iter().find(|word| {
                written(picture, word, x, y, scale)
                    && alone(x, y, (word.len() * ADVANCE - 1) * scale, scale)
            });
            words.extend(word.map(|word| (y, x, word.clone())));
        }
    }
    words.sort();
    words
}

fn spelled(word: &str) -> String {
    if word.starts_with(|first: char| first.is_ascii_digit()) {
        format!("{} {}", &word[..1], &word[1..])
    } else {
        word.into()
    }
}

fn answer_about_text(words: &[(usize, usize, String)], text: &str) -> String {
    let key = text.split(' ').nth(2).expect("a text question names its key third");
    let at = words.iter().position(|(_, _, word)| word == key).expect("the key is on the page");
    spelled(&words[at + 1].2)
}

fn answer_about_table(words: &[(usize, usize, String)], text: &str) -> String {
    let asked: Vec<&str> = text.split(' ').collect();
    let place = |name: &str| words.iter().find(|(_, _, word)| word == name).expect("a header");
    let number = |(_, _, word): &&(usize, usize, String)| word.parse::<usize>().is_ok();
    let mut cells: Vec<&(usize, usize, String)> = words.iter().filter(number).collect();
    if asked[0] == "value" {
        let (row, column) = (place(asked[2]).0, place(asked[3]).1);
        let cell = cells.into_iter().find(|cell| (cell.0, cell.1) == (row, column));
        return spelled(&cell.expect("the cell is on the page").2);
    }
    let (y, x, _) = place(asked[2]);
    cells.retain(|cell| cell.0 == *y || cell.1 == *x);
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.2.parse::<usize>().ok()));
    let (row, column) = (cells[0].0, cells[0].1);
    assert!(cells[1].2 < cells[0].2, "one value is the largest");
    let header = words
        .iter()
        .filter(|(_, _, word)| word.parse::<usize>().is_err())
        .find(|name| if row == *y { name.1 == column } else { name.0 == row });
    header.expect("the largest has a header").2.clone()
}

fn answer_about_chart(picture: &Picture, words: &[(usize, usize, String)], text: &str) -> String {
    let asked: Vec<&str> = text.split(' ').collect();
    let place = |name: &str| words.iter().find(|(_, _, word)| word == name).expect("a noun");
    let base = words.iter().map(|word| word.0).max().expect("labels") - 4;
    let near = |x: usize, y: usize, ink: [u8; 3]| {
        pixel(picture, x, y).iter().zip(ink).all(|(value, ink)| value.abs_diff(ink) < 28)
    };
    // The axis is bright but for one pixel at each of its nine ticks.
    let bright = (16..base).filter(|&y| pixel(picture, 15, y)[0] > WRITTEN).count();
    let unit = bright / 9 + 1;
    let series = *asked.iter().rev().nth(1).expect("a chart question names its series last");
    let (legend_y, legend_x, _) = place(series);
    let ink = INKS.iter().find(|ink| near(legend_x - 10, legend_y + 3, **ink)).expect("a key");
    let value = |label: &str| {
        let left = place(label).1;
        let height = |x: usize| (16..base).filter(|&y| near(x, y, *ink)).count();
        let next = words.iter().filter(|word| word.0 == base + 4 && word.1 > left);
        let right = next.map(|word| word.1).min().unwrap_or(picture.size);
        (left..right).map(height).max().unwrap_or(0) / unit
    };
    match (asked[0], asked[1]) {
        ("value", _) => value(asked[2]).to_string(),
        (one, "above") => (if value(one) > value(asked[2]) { "yes" } else { "no" }).to_owned(),
        _ => {
            let labels = words.iter().filter(|word| word.0 == base + 4);
            labels.max_by_key(|word| value(&word.2)).expect("labels").2.clone()
        }
    }
}

fn check(families: &[Family], seeds: u64, solve: impl Fn(&Picture) -> Box<dyn Fn(&str) -> String>) {
    let suite = Suite::new(SuiteName::Small);
    for &family in families {
        for split in [Split::Train, Split::Harder] {
            for seed in 0..seeds {
                let sample = suite.sample(split, family, seed);
                let solver = solve(&sample.picture);
                for question in &sample.questions {
                    let answer = solver(&question.text);
                    assert_eq!(question.answer, answer, "{split} {seed} {}", question.text);
                }
            }
        }
    }
}

#[test]
fn every_answer_about_objects_can_be_solved_again_from_the_pixels_alone() {
    check(&[Family::Exist, Family::Attribute, Family::Relation], 25, |picture| {
        let found = objects(picture);
        Box::new(move |text| answer_about_objects(&found, text))
    });
}

#[test]
fn every_framed_digit_can_be_read_again_from_the_pixels_alone() {
    check(&[Family::Needle], 25, |picture| {
        let picture = picture.clone();
        Box::new(move |text| {
            let colour =
                text.split(' ').nth(3).and_then(|word| COLOURS.iter().position(|c| *c == word));
            framed_digit(&picture, colour.expect("a needle question names a colour"))
        })
    });
}

#[test]
fn every_answer_about_text_tables_and_charts_can_be_read_again_from_the_pixels_alone() {
    check(&[Family::Text], 10, |picture| {
        let words = words_of(picture);
        Box::new(move |text| answer_about_text(&words, text))
    });
    check(&[Family::Table], 10, |picture| {
        let words = words_of(picture);
        Box::new(move |text| answer_about_table(&words, text))
    });
    check(&[Family::Chart], 10, |picture| {
        let (picture, words) = (picture.clone(), words_of(picture));
        Box::new(move |text| answer_about_chart(&picture, &words, text))
    });
}
