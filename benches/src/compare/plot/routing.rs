//! What the policy chooses: a bar a family, a part of it a rung.

use super::PlotError;
use super::bars::{Bar, Bars, WIDTH};
use super::scene::{Scene, Style, at};
use super::theme::{FAINT_INK, INK};
use crate::compare::record::CompareRecord;
use crate::compare::render::format::percent;

pub(super) fn scene(record: &CompareRecord) -> Result<Option<Scene>, PlotError> {
    let row = record.routed.as_deref().and_then(|name| record.row(name));
    let Some((row, shares)) = row.and_then(|row| Some((row, row.routing.as_ref()?))) else {
        return Ok(None);
    };
    let mut bars: Vec<Bar<'_>> = record
        .families
        .iter()
        .filter_map(|family| {
            Some(Bar {
                name: &family.name,
                kind: family.kind.word(),
                shares: shares.families.get(&family.name)?,
                figure: row.families.get(&family.name).map(|found| percent(found.mean)),
            })
        })
        .collect();
    let figure = row.accuracy.map(|found| percent(found.mean));
    bars.push(Bar { name: "all questions", kind: "", shares: &shares.all, figure });
    let bars = Bars::new(&record.ladder, bars)?;
    let mut scene = Scene::new(WIDTH, bars.height());
    let title = format!("What {} chooses, by family", row.name);
    scene.text(at(24.0, 32.0), title, Style::new(18.0, INK).bold());
    let under = format!(
        "{} on {}, {}: share of the questions that run at each rung, %",
        record.model.name, record.suite.name, record.suite.split
    );
    scene.text(at(24.0, 54.0), under, Style::new(12.5, FAINT_INK));
    bars.draw(&mut scene, "accuracy, %");
    Ok(Some(scene))
}
