//! `--overlay`: the patches that a question chose, drawn on its picture.

use crate::files;
use anyhow::{Context, Result, bail};
use std::path::Path;
use visor::{Answer, Picture, Prepared};
use visor_tasks::{encode_png, lettering};

/// Pixels that the longer side has at least, enlarged by a whole factor.
const SHOWN: u32 = 512;
/// What remains of the light of a patch that was not chosen.
const DIMMED: f32 = 0.35;
const FRAME: [u8; 3] = [255, 196, 0];
const INK: [u8; 3] = [255, 255, 255];
const SHADE: [u8; 3] = [0, 0, 0];

/// Draws the overlay of an answer about one picture.
///
/// # Errors
/// If nothing was chosen, there is not one picture alone, it was cut into tiles, or the file cannot
/// be written.
pub(crate) fn write(path: &Path, picture: &Picture, layout: Layout, answer: &Answer) -> Result<()> {
    let Some(selection) = &answer.selection else {
        bail!("--overlay shows the patches that a question chose, and this one read all of them");
    };
    let Layout { rows, columns } = layout;
    let sheet = draw(picture, [rows, columns], &selection.scores, &selection.patches);
    let png =
        encode_png(&sheet.rgb, sheet.width, sheet.height).context("cannot encode the overlay")?;
    files::write(path, &png)
}

/// How the visual tokens of the one picture lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    rows: usize,
    columns: usize,
}

impl Layout {
    /// # Errors
    /// If there is not one picture, or its tokens do not cover it as a grid.
    pub(crate) fn of(prepared: &Prepared) -> Result<Self> {
        match (prepared.prompt().images(), prepared.pictures()) {
            ([span], [picture]) if picture.pixels.tiles() == 1 => {
                Ok(Self { rows: span.rows, columns: span.cols })
            }
            ([_, ..], [_]) => {
                bail!(
                    "--overlay draws on pictures that are taken whole, not on those cut into tiles"
                )
            }
            (_, pictures) => {
                bail!("--overlay draws on one picture, and the question has {}", pictures.len())
            }
        }
    }
}

struct Sheet {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Sheet {
    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = 3 * (y * self.width + x);
            self.rgb[at..at + 3].copy_from_slice(&colour);
        }
    }
}

fn draw(picture: &Picture, [rows, columns]: [usize; 2], scores: &[f32], chosen: &[usize]) -> Sheet {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let factor = (SHOWN.div_ceil(picture.width().max(picture.height()))).max(1) as usize;
    let (wide, high) = (width * factor, height * factor);
    let mut sheet = Sheet { width: wide, height: high, rgb: vec![0; 3 * wide * high] };
    let patch_of = |x: usize, y: usize| y * rows / high * columns + x * columns / wide;
    let is_chosen = |patch: usize| chosen.binary_search(&patch).is_ok();
    for (y, x) in (0..high).flat_map(|y| (0..wide).map(move |x| (y, x))) {
        let at = 3 * (y / factor * width + x / factor);
        let light = if is_chosen(patch_of(x, y)) { 1.0 } else { DIMMED };
        let channel = |c: usize| (f32::from(picture.rgb()[at + c]) * light) as u8;
        sheet.set(x, y, [channel(0), channel(1), channel(2)]);
    }
    for &patch in chosen {
        let (row, column) = (patch / columns, patch % columns);
        let (top, bottom) = (row * high / rows, (row + 1) * high / rows);
        let (left, right) = (column * wide / columns, (column + 1) * wide / columns);
        for (y, x) in (top..bottom).flat_map(|y| (left..right).map(move |x| (y, x))) {
            let inside = y >= top + 2 && y + 2 < bottom && x >= left + 2 && x + 2 < right;
            if !inside {
                sheet.set(x, y, FRAME);
            }
        }
        let score = scores.get(patch).map(|score| format!("{score:.1}")).unwrap_or_default();
        label(&mut sheet, &score, (left + 4, top + 4), (right - left).saturating_sub(8));
    }
    sheet
}

/// Writes a score into its patch, where it fits.
fn label(sheet: &mut Sheet, text: &str, (left, top): (usize, usize), room: usize) {
    let pixels: Vec<(usize, usize)> = lettering(text).collect();
    let width = pixels.iter().map(|&(x, _)| x + 1).max().unwrap_or(0);
    if width > room {
        return;
    }
    let scale = (room / width.max(1)).clamp(1, 2);
    let fill = |sheet: &mut Sheet, by: usize, colour| {
        for &(x, y) in &pixels {
            for (dx, dy) in (0..scale).flat_map(|dy| (0..scale).map(move |dx| (dx, dy))) {
                sheet.set(left + x * scale + dx + by, top + y * scale + dy + by, colour);
            }
        }
    };
    fill(sheet, 1, SHADE);
    fill(sheet, 0, INK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_patches_keep_their_light_and_the_others_are_dimmed() {
        let picture = Picture::from_rgb(4, 2, vec![200; 24]).expect("a picture");
        let sheet = draw(&picture, [1, 2], &[1.5, -1.5], &[1]);
        assert_eq!((sheet.width, sheet.height), (512, 256));
        let at = |x: usize, y: usize| sheet.rgb[3 * (y * sheet.width + x)];
        assert_eq!(at(128, 128), 70, "not chosen");
        assert_eq!(at(384, 128), 200, "chosen");
        assert_eq!(sheet.rgb[3 * (sheet.width / 2)..][..3], FRAME, "its frame");
    }
}
