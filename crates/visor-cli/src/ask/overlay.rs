//! `--overlay`: the patches that a question chose, drawn on its picture.

use crate::files;
use anyhow::{Context, Result, bail};
use std::path::Path;
use visor::{Answer, Arrangement, ModelCard, Panel, Picture, Prepared, Selection};
use visor_tasks::{encode_png, lettering};

/// Pixels that the longer side has at least, enlarged by a whole factor.
const SHOWN: u32 = 512;
/// What remains of the light of a patch that was not chosen.
const DIMMED: f32 = 0.35;
const FRAME: [u8; 3] = [255, 196, 0];
const INK: [u8; 3] = [255, 255, 255];
const SHADE: [u8; 3] = [0, 0, 0];

/// Pixels between two drawings.
const GAP: usize = 12;

/// Draws what the question of an answer chose: each picture in the order of the prompt, one drawing
/// for every grid of visual tokens that covers it, one below the other.
///
/// # Errors
/// If nothing was chosen, or the file cannot be written.
pub(crate) fn write(path: &Path, pictures: &[Picture], plan: &Plan, answer: &Answer) -> Result<()> {
    let Some(selection) = &answer.selection else {
        bail!("--overlay shows the patches that a question chose, and this one read all of them");
    };
    let grids = plan.0.iter().zip(pictures);
    let drawings = grids.flat_map(|(panels, picture)| panels.iter().map(move |p| (p, picture)));
    let drawn = drawings.map(|(panel, picture)| draw(picture, panel, selection)).collect();
    let sheet = stacked(drawn);
    let png =
        encode_png(&sheet.rgb, sheet.width, sheet.height).context("cannot encode the overlay")?;
    files::write(path, &png)
}

/// Of each picture, the grids of visual tokens that cover it, numbered through the prompt.
#[derive(Debug)]
pub(crate) struct Plan(Vec<Vec<Panel>>);

impl Plan {
    /// Where the visual tokens of a request look.
    pub(crate) fn of(prepared: &Prepared, card: &ModelCard) -> Self {
        let mut first = 0;
        let of_picture = |arrangement: Arrangement| {
            let places = arrangement.places(card.tile_tokens);
            let begin = first;
            first += places.iter().map(|place| place.rows * place.cols).sum::<usize>();
            let mut panels = arrangement.panels(card.tile_tokens);
            for token in panels.iter_mut().flat_map(|panel| &mut panel.tokens) {
                *token += begin;
            }
            panels
        };
        Self(prepared.arrangements().map(of_picture).collect())
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

/// One drawing below the other, each at the left.
fn stacked(sheets: Vec<Sheet>) -> Sheet {
    let width = sheets.iter().map(|sheet| sheet.width).max().unwrap_or(0);
    let gaps = GAP * sheets.len().saturating_sub(1);
    let height = sheets.iter().map(|sheet| sheet.height).sum::<usize>() + gaps;
    let mut all = Sheet { width, height, rgb: vec![255; 3 * width * height] };
    let mut top = 0;
    for sheet in sheets {
        for (y, row) in sheet.rgb.chunks_exact(3 * sheet.width).enumerate() {
            let at = 3 * (top + y) * width;
            all.rgb[at..at + row.len()].copy_from_slice(row);
        }
        top += sheet.height + GAP;
    }
    all
}

/// Patches that lie on the ground around a picture are not in its drawing.
fn draw(picture: &Picture, panel: &Panel, selection: &Selection) -> Sheet {
    let &Panel { rows, cols, ref tokens, cover } = panel;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let factor = (SHOWN.div_ceil(picture.width().max(picture.height()))).max(1) as usize;
    let (wide, high) = (width * factor, height * factor);
    let frame = cover.frame(picture.width(), picture.height());
    let enlarged = |pixels: u32| pixels as usize * factor;
    let (before, above) = (enlarged(frame.left), enlarged(frame.top));
    let (across, down) = (enlarged(frame.width), enlarged(frame.height));
    let mut sheet = Sheet { width: wide, height: high, rgb: vec![0; 3 * wide * high] };
    let is_chosen = |cell: usize| selection.patches.binary_search(&tokens[cell]).is_ok();
    let chosen: Vec<bool> = (0..tokens.len()).map(is_chosen).collect();
    let cell_of =
        |x: usize, y: usize| (y + above) * rows / down * cols + (x + before) * cols / across;
    for (y, x) in (0..high).flat_map(|y| (0..wide).map(move |x| (y, x))) {
        let at = 3 * (y / factor * width + x / factor);
        let light = if chosen[cell_of(x, y)] { 1.0 } else { DIMMED };
        let channel = |c: usize| (f32::from(picture.rgb()[at + c]) * light) as u8;
        sheet.set(x, y, [channel(0), channel(1), channel(2)]);
    }
    let on_picture = |edge: usize, ground: usize, end: usize| edge.saturating_sub(ground).min(end);
    for cell in (0..tokens.len()).filter(|&cell| chosen[cell]) {
        let (row, column) = (cell / cols, cell % cols);
        let [top, bottom] = [row, row + 1].map(|row| on_picture(row * down / rows, above, high));
        let [left, right] =
            [column, column + 1].map(|column| on_picture(column * across / cols, before, wide));
        if top == bottom || left == right {
            continue;
        }
        for (y, x) in (top..bottom).flat_map(|y| (left..right).map(move |x| (y, x))) {
            let inside = y >= top + 2 && y + 2 < bottom && x >= left + 2 && x + 2 < right;
            if !inside {
                sheet.set(x, y, FRAME);
            }
        }
        let score = selection.scores.get(tokens[cell]).map(|score| format!("{score:.1}"));
        let score = score.unwrap_or_default();
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
    use visor::Cover;

    #[test]
    fn chosen_patches_keep_their_light_and_the_others_are_dimmed() {
        let picture = Picture::from_rgb(4, 2, vec![200; 24]).expect("a picture");
        // The second of two pictures, whose tokens are numbered on.
        let panel = Panel { cover: Cover::Picture, rows: 1, cols: 2, tokens: vec![4, 5] };
        let scores = vec![0.0, 0.0, 0.0, 0.0, 1.5, -1.5];
        let selection = Selection { patches: vec![0, 5], scores, kappa: 2.0 };
        let sheet = draw(&picture, &panel, &selection);
        assert_eq!((sheet.width, sheet.height), (512, 256));
        let at = |x: usize, y: usize| sheet.rgb[3 * (y * sheet.width + x)];
        assert_eq!(at(128, 128), 70, "not chosen");
        assert_eq!(at(384, 128), 200, "chosen");
        assert_eq!(sheet.rgb[3 * (sheet.width / 2)..][..3], FRAME, "its frame");

        let (width, height) = (sheet.width, sheet.height);
        let narrow = Sheet { width: 2, height: 1, rgb: vec![7; 6] };
        let both = stacked(vec![sheet, narrow]);
        assert_eq!((both.width, both.height), (width, height + GAP + 1));
        assert_eq!(both.rgb[both.rgb.len() - 3 * width..][..9], [7, 7, 7, 7, 7, 7, 255, 255, 255]);
    }

    #[test]
    fn patches_of_a_padded_picture_are_drawn_where_the_square_around_it_has_them() {
        let picture = Picture::from_rgb(4, 2, vec![200; 24]).expect("a picture");
        // Four rows of the square, of which the picture is the second and the third.
        let tokens = (0..4).collect();
        let panel = Panel { cover: Cover::Square, rows: 4, cols: 1, tokens };
        let selection = Selection { patches: vec![0, 2], scores: vec![1.0; 4], kappa: 2.0 };
        let sheet = draw(&picture, &panel, &selection);
        assert_eq!((sheet.width, sheet.height), (512, 256));
        let row = |y: usize| &sheet.rgb[3 * y * sheet.width..][..3 * sheet.width];
        // Nothing of the patch above the picture is on it.
        assert!((0..128).all(|y| row(y).iter().all(|&level| level == 70)));
        assert_eq!(row(128)[..3], FRAME);
        assert_eq!(row(192)[3 * 256], 200, "chosen");
    }
}
