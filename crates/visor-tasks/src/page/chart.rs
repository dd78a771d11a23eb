//! Bar charts with a legend: the value of a bar, the tallest of a series, which of two is taller.

use super::canvas::{Area, Page, text_area};
use super::{Drawn, Frame, TRIALS};
use crate::rng::Rng;
use crate::sample::Ask;
use crate::shapes::INKS;
use crate::words::{self, COLOURS, DIGITS, NOUNS};
use crate::{Family, Slot};

/// Nouns below this label bars, those from it on name series.
const LABELS: usize = 16;
const TALLEST: usize = 9;
/// Pixels left of the bars for the ticks, below them for labels, above them for the legend.
const LEFT: usize = 18;
const BELOW: usize = 14;
const ABOVE: usize = 16;

/// Values of one to nine, by label and series.
struct Chart {
    labels: Vec<usize>,
    series: Vec<usize>,
    colours: Vec<usize>,
    values: Vec<Vec<usize>>,
}

/// Where the parts of a chart stand.
struct Areas {
    labels: Vec<Area>,
    legend: Vec<Area>,
    bars: Vec<Vec<Area>>,
    ticks: Vec<Area>,
}

/// A chart around an answer that is drawn first.
pub(crate) fn draw(rng: &mut Rng, frame: &Frame) -> Drawn {
    let widest = (frame.size - LEFT) / 36;
    let (labels, series) = if frame.harder {
        (rng.between(widest - 1, widest), rng.between(3, 4))
    } else {
        (rng.between(2, widest - 1), rng.between(1, 3))
    };
    let mut chart = Chart {
        labels: shuffled(rng, 0..LABELS, labels),
        series: shuffled(rng, LABELS..NOUNS.len(), series),
        colours: shuffled(rng, 0..COLOURS.len(), series),
        values: (0..series).map(|_| unlike_tops(rng, labels)).collect(),
    };
    let (of, label, value) = (rng.below(series), rng.below(labels), rng.between(1, TALLEST));
    let ask_value = rng.coin();
    if ask_value {
        chart.values[of][label] = value;
    } else {
        let top = chart.top(of).unwrap_or(label);
        chart.values[of].swap(top, label);
    }
    let mut page = frame.page();
    let areas = lay(rng, &mut page, &chart);
    let mut asks = vec![if ask_value {
        chart.ask_value(&page, &areas, of, label)
    } else {
        chart.ask_tallest(&page, &areas, of, label)
    }];
    for _ in 0..TRIALS {
        let (of, a, b) = (rng.below(series), rng.below(labels), rng.below(labels));
        let ask = match rng.below(3) {
            0 => Some(chart.ask_value(&page, &areas, of, a)),
            1 => chart.top(of).map(|top| chart.ask_tallest(&page, &areas, of, top)),
            _ => chart.ask_taller(&page, &areas, of, (a, b)),
        };
        super::keep(&mut asks, ask);
    }
    let nouns = chart.labels.iter().chain(&chart.series).map(|&noun| NOUNS[noun]);
    let caption: Vec<&str> = ["chart"].into_iter().chain(nouns).collect();
    Drawn { page, asks, caption: caption.join(" "), things: labels * series }
}

fn shuffled(rng: &mut Rng, range: std::ops::Range<usize>, count: usize) -> Vec<usize> {
    let mut list: Vec<usize> = range.collect();
    rng.shuffle(&mut list);
    list.truncate(count);
    list
}

/// Uniform values of which one stands out as the tallest.
fn unlike_tops(rng: &mut Rng, count: usize) -> Vec<usize> {
    loop {
        let values: Vec<usize> = (0..count).map(|_| rng.between(1, TALLEST)).collect();
        let tallest = values.iter().max();
        if values.iter().filter(|&value| Some(value) == tallest).count() == 1 {
            return values;
        }
    }
}

impl Chart {
    /// The label of the one tallest bar of a series.
    fn top(&self, of: usize) -> Option<usize> {
        let tallest = self.values[of].iter().max()?;
        let mut tops = (0..self.labels.len()).filter(|&at| self.values[of][at] == *tallest);
        let top = tops.next()?;
        tops.next().is_none().then_some(top)
    }

    fn seen(&self, page: &Page, areas: &Areas, of: usize, labels: &[usize]) -> Vec<usize> {
        let bars = labels.iter().flat_map(|&label| [areas.bars[of][label], areas.labels[label]]);
        bars.chain([areas.legend[of]]).flat_map(|area| page.touched(area)).collect()
    }

    fn ask(text: String, answer: &str, hops: u8, seen: Vec<usize>) -> Ask {
        let mut ask = Ask::new(Family::Chart, text, answer, seen);
        (ask.hops, ask.glyph_height) = (hops, text_area("", 0, 0, 1).height as u8);
        ask
    }

    fn ask_value(&self, page: &Page, areas: &Areas, of: usize, label: usize) -> Ask {
        let value = self.values[of][label];
        let mut seen = self.seen(page, areas, of, &[label]);
        seen.extend(areas.ticks.get(value).into_iter().flat_map(|&area| page.touched(area)));
        let (noun, series) = (NOUNS[self.labels[label]], NOUNS[self.series[of]]);
        Self::ask(format!("value of {noun} in {series} ?"), DIGITS[value], 3, seen)
    }

    fn ask_tallest(&self, page: &Page, areas: &Areas, of: usize, top: usize) -> Ask {
        let all: Vec<usize> = (0..self.labels.len()).collect();
        let seen = self.seen(page, areas, of, &all);
        let text = format!("tallest in {} ?", NOUNS[self.series[of]]);
        Self::ask(text, NOUNS[self.labels[top]], 2, seen)
    }

    fn ask_taller(
        &self,
        page: &Page,
        areas: &Areas,
        of: usize,
        pair: (usize, usize),
    ) -> Option<Ask> {
        let (a, b) = (self.values[of][pair.0], self.values[of][pair.1]);
        let seen = self.seen(page, areas, of, &[pair.0, pair.1]);
        let (one, other) = (NOUNS[self.labels[pair.0]], NOUNS[self.labels[pair.1]]);
        let text = format!("{one} above {other} in {} ?", NOUNS[self.series[of]]);
        (a != b).then(|| Self::ask(text, words::yes_no(a > b), 3, seen))
    }
}

/// Draws axis, bars, labels and legend at a uniform height and width.
fn lay(rng: &mut Rng, page: &mut Page, chart: &Chart) -> Areas {
    let (labels, series) = (chart.labels.len(), chart.series.len());
    let unit = rng.between(10, (page.size - BELOW - ABOVE - 8) / TALLEST);
    let spare = page.size - BELOW - ABOVE - unit * TALLEST - 4;
    let base = page.size - BELOW - rng.below(spare);
    let pitch = rng.between(34, (page.size - LEFT) / labels);
    let width = rng.between((pitch / series / 2).max(4), ((pitch - 4) / series).max(4));
    let ink = [rng.between(170, 235) as u8; 3];
    page.fill(Area { x: LEFT - 3, y: base, width: pitch * labels, height: 1 }, ink);
    page.fill(
        Area { x: LEFT - 3, y: base - unit * TALLEST, width: 1, height: unit * TALLEST },
        ink,
    );
    let lines = rng.coin();
    let mut ticks = Vec::new();
    for (value, digit) in DIGITS.into_iter().enumerate() {
        let y = base - value * unit;
        ticks.push(page.write(digit, 4, y.saturating_sub(3), 1, ink));
        let length = if lines && value > 0 { pitch * labels } else { 3 };
        page.fill(Area { x: LEFT - 5, y, width: length, height: 1 }, [70; 3]);
    }
    let mut bars = vec![Vec::new(); series];
    let mut names = Vec::new();
    for label in 0..labels {
        let left = LEFT + label * pitch;
        for (of, row) in bars.iter_mut().enumerate() {
            let height = chart.values[of][label] * unit;
            let area = Area { x: left + of * width, y: base - height, width: width - 1, height };
            page.fill(area, INKS[chart.colours[of]]);
            let top = page.patch_at(area.x + area.width / 2, area.y);
            page.label(top, Slot::Colour, chart.colours[of], 0);
            page.label(top, Slot::ColumnWord, chart.labels[label], 1);
            page.label(top, Slot::RowWord, chart.series[of], 1);
            page.label(top, Slot::Value, chart.values[of][label], 1);
            row.push(area);
        }
        names.push(page.write(NOUNS[chart.labels[label]], left, base + 4, 1, ink));
    }
    let mut legend = Vec::new();
    for (of, &noun) in chart.series.iter().enumerate() {
        let x = LEFT + of * (page.size - LEFT) / series.max(3);
        page.fill(Area { x, y: 4, width: 8, height: 8 }, INKS[chart.colours[of]]);
        let name = page.write(NOUNS[noun], x + 14, 4, 1, ink);
        legend.push(Area { x, y: 4, width: name.x + name.width - x, height: 8 });
    }
    Areas { labels: names, legend, bars, ticks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_always_has_one_tallest_bar() {
        let mut rng = Rng::new(9);
        for count in 2..9 {
            let values = unlike_tops(&mut rng, count);
            let tallest = values.iter().max().expect("there are values");
            assert_eq!(values.iter().filter(|&value| value == tallest).count(), 1);
        }
    }
}
