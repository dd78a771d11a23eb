//! What is seen of a run while it goes on.

use crate::output::note;
use indicatif::{ProgressBar, ProgressStyle};
use visor_train::StepReport;
use visor_train::evaluate::Scores;

const BAR: &str = "{bar:30} step {pos} of {len}, {eta} left, {prefix}{msg}";

/// Budgets whose accuracy stands in one line below the bar.
const IN_A_LINE: usize = 4;

/// A bar on a terminal; elsewhere a line at each validation.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of a run of so many steps, some of them done.
    pub(crate) fn new(from: u64, total: u64) -> Self {
        let style =
            ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total).with_style(style).with_position(from);
        bar.reset_eta();
        match from {
            0 => {}
            _ if from == total => note(&format!("all {total} steps are done")),
            _ => note(&format!("going on from step {from} of {total}")),
        }
        Self { bar }
    }

    pub(crate) fn stepped(&self, report: &StepReport) {
        self.bar.set_prefix(format!("{} loss {:.3}", report.stage.word(), loss(report)));
        self.bar.set_position(report.step);
    }

    pub(crate) fn validated(&self, step: u64, scores: &[(String, Scores)]) {
        let accuracy: Vec<String> =
            scores.iter().map(|(name, scores)| format!("{name} {:.3}", scores.overall())).collect();
        if self.bar.is_hidden() {
            let total = self.bar.length().unwrap_or(step);
            note(&format!("step {step} of {total}: accuracy {}", accuracy.join(", ")));
        }
        let lines: Vec<String> = accuracy.chunks(IN_A_LINE).map(|line| line.join(", ")).collect();
        self.bar.set_message(format!("\naccuracy at step {step}:\n  {}", lines.join(",\n  ")));
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Of the answers, mean over the budgets of the step; before there are answers, of the patches'
/// labels.
fn loss(report: &StepReport) -> f32 {
    match report.answers.as_slice() {
        [] => report.alignment + report.refinement,
        answers => answers.iter().map(|(_, loss)| loss).sum::<f32>() / answers.len() as f32,
    }
}
