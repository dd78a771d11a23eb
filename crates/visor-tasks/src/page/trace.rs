//! Crossing wires from letters to digits: where does a wire end?
//!
//! All wires have one ink, and a crossing is two straight lines: only the line itself tells which way
//! a wire goes on.

use super::canvas::text_area;
use super::{Drawn, Frame};
use crate::rng::Rng;
use crate::sample::{Ask, QUESTIONS};
use crate::words::{DIGITS, LETTERS};
use crate::{Family, Slot};

/// Pixels at each side for letters and digits.
const MARGIN: usize = 22;

/// The tracks of every wire, stage by stage: `tracks[wire][stage]`, one more than there are stages.
struct Braid {
    tracks: Vec<Vec<usize>>,
}

impl Braid {
    /// In each stage, neighbours change places or not, each pair with a chance of one half.
    fn weave(rng: &mut Rng, wires: usize, stages: usize) -> Self {
        let mut tracks: Vec<Vec<usize>> = (0..wires).map(|wire| vec![wire]).collect();
        for stage in 0..stages {
            let mut moved: Vec<usize> = (0..wires).collect();
            let mut track = 0;
            while track + 1 < wires {
                if rng.coin() {
                    moved.swap(track, track + 1);
                    track += 1;
                }
                track += 1;
            }
            for wire in &mut tracks {
                wire.push(moved[wire[stage]]);
            }
        }
        Self { tracks }
    }

    /// How many crossings a wire has from a stage on.
    fn crossings(&self, wire: usize, stage: usize) -> usize {
        self.tracks[wire][stage..].windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}

/// A few wires with few crossings, or more of both.
pub(crate) fn draw(rng: &mut Rng, frame: &Frame) -> Drawn {
    let (wires, stages) = if frame.harder {
        (rng.between(6, 7), rng.between(9, 12))
    } else {
        (rng.between(2, 5), rng.between(1, 8))
    };
    let braid = Braid::weave(rng, wires, stages);
    let pitch = rng.between(20, (frame.size - 32) / wires);
    let top = rng.between(8, frame.size - 16 - pitch * (wires - 1));
    let x = |stage: usize| MARGIN + stage * (frame.size - 2 * MARGIN) / stages;
    let y = |track: usize| top + track * pitch;
    let mut letters: Vec<usize> = (0..LETTERS.len()).collect();
    let mut digits: Vec<usize> = (0..DIGITS.len()).collect();
    rng.shuffle(&mut letters);
    rng.shuffle(&mut digits);
    let (scale, width) = (rng.between(1, 2), rng.between(2, 3));
    let ink = [rng.between(150, 220) as u8; 3];

    let mut page = frame.page();
    let mut wire_patches: Vec<Vec<(usize, usize)>> = vec![Vec::new(); wires];
    for (wire, patches) in wire_patches.iter_mut().enumerate() {
        for stage in 0..stages {
            let (here, next) = (braid.tracks[wire][stage], braid.tracks[wire][stage + 1]);
            let (from, to) = ((x(stage), y(here)), (x(stage + 1), y(next)));
            page.line(from, to, width, ink);
            patches.extend(page.crossed(from, to).into_iter().map(|patch| (patch, stage)));
        }
    }
    let mut asks = Vec::new();
    let mut caption = vec!["wires"];
    for (wire, patches) in wire_patches.iter().enumerate() {
        let end = digits[braid.tracks[wire][stages]];
        let lift = text_area("", 0, 0, scale).height / 2;
        let left = page.write(LETTERS[letters[wire]], 6, y(wire).saturating_sub(lift), scale, ink);
        let right = text_area(
            DIGITS[end],
            frame.size - MARGIN + 6,
            y(braid.tracks[wire][stages]).saturating_sub(lift),
            scale,
        );
        page.write(DIGITS[end], right.x, right.y, scale, ink);
        for &(patch, stage) in patches {
            let alone = wire_patches
                .iter()
                .enumerate()
                .all(|(other, theirs)| other == wire || theirs.iter().all(|(p, _)| *p != patch));
            // A wire can be in a patch with two of its stages: the earlier one labels it.
            let earlier = patches.iter().any(|&(p, s)| p == patch && s < stage);
            if alone && !earlier {
                page.label(patch, Slot::WireEnd, end, 1 + braid.crossings(wire, stage));
            }
        }
        let mut evidence: Vec<usize> = patches.iter().map(|&(patch, _)| patch).collect();
        evidence.extend(page.touched(left));
        evidence.extend(page.touched(right));
        let text = format!("end of wire {} ?", LETTERS[letters[wire]]);
        let mut ask = Ask::new(Family::Trace, text, DIGITS[end], evidence);
        ask.hops = braid.crossings(wire, 0) as u8;
        ask.glyph_height = left.height as u8;
        asks.push(ask);
        caption.extend([LETTERS[letters[wire]], DIGITS[end]]);
    }
    rng.shuffle(&mut asks);
    asks.truncate(QUESTIONS);
    Drawn { page, asks, caption: caption.join(" "), things: wires }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wires_end_where_swapping_a_list_pair_by_pair_puts_them() {
        for seed in 0..200 {
            let braid = Braid::weave(&mut Rng::new(seed), 5, 8);
            let mut order: Vec<usize> = (0..5).collect();
            for stage in 0..8 {
                let mut crossed = 0;
                for above in 0..4 {
                    let (a, b) = (order[above], order[above + 1]);
                    let goes_down = braid.tracks[a][stage + 1] > braid.tracks[a][stage];
                    if goes_down && braid.tracks[b][stage] == above + 1 && crossed <= above {
                        order.swap(above, above + 1);
                        crossed = above + 2;
                    }
                }
            }
            for (track, &wire) in order.iter().enumerate() {
                assert_eq!(braid.tracks[wire][8], track, "seed {seed}");
            }
        }
    }

    #[test]
    fn crossings_left_never_rise_along_a_wire() {
        let braid = Braid::weave(&mut Rng::new(4), 6, 10);
        for wire in 0..6 {
            let left: Vec<usize> = (0..=10).map(|stage| braid.crossings(wire, stage)).collect();
            assert!(left.is_sorted_by(|a, b| a >= b) && left[10] == 0);
        }
    }
}
