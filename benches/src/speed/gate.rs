//! Two records row by row: whether anything became slower past a threshold.
//!
//! Where both records have a peer, times over the peer's are compared, so that a busier machine is
//! no regression; else the times as they are, which only means something on the same machine.

use super::record::{Row, SpeedRecord};

/// A row of both records.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The row.
    pub row: String,
    /// What is compared: `ratio` to the peer, or `ms`.
    pub quantity: &'static str,
    /// The old value.
    pub old: f64,
    /// The new value.
    pub new: f64,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// By how much a row may be slower, as a share.
    pub threshold: f64,
    /// Rows of both.
    pub changes: Vec<Change>,
    /// Rows of the old record that the new one lacks: each is a regression.
    pub gone: Vec<String>,
    /// Whether the two were made on different machines or models.
    pub circumstances: Vec<String>,
}

impl Change {
    /// New over old.
    pub fn factor(&self) -> f64 {
        self.new / self.old
    }
}

impl Verdict {
    /// Rows that are slower past the threshold.
    pub fn worse(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.factor() > 1.0 + self.threshold)
    }

    /// Whether something is.
    pub fn regressed(&self) -> bool {
        self.worse().next().is_some() || !self.gone.is_empty()
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        self.circumstances.iter().for_each(|what| text.push_str(&format!("* {what}\n")));
        self.gone.iter().for_each(|row| text.push_str(&format!("* row `{row}` is gone\n")));
        for change in &self.changes {
            let Change { row, quantity, old, new } = change;
            let factor = change.factor();
            let judgement = if factor > 1.0 + self.threshold { ": slower" } else { "" };
            text.push_str(&format!(
                "* {row}: {quantity} {old:.4} to {new:.4}, {factor:.2} times{judgement}\n"
            ));
        }
        let (worse, all) = (self.worse().count(), self.changes.len());
        let verdict = if self.regressed() { "a regression" } else { "no regression" };
        let percent = 100.0 * self.threshold;
        text.push_str(&format!(
            "{worse} of {all} rows are slower by more than {percent:.0} %, {} are gone: {verdict}.\n",
            self.gone.len()
        ));
        text
    }
}

/// Holds a record against an older one.
pub fn gate(old: &SpeedRecord, new: &SpeedRecord, threshold: f64) -> Verdict {
    let same = |a: &Row, b: &Row| a.name() == b.name() && a.prompt_tokens == b.prompt_tokens;
    let (mut changes, mut gone) = (Vec::new(), Vec::new());
    for before in &old.rows {
        match new.rows.iter().find(|row| same(row, before)) {
            None => gone.push(before.name()),
            Some(after) => {
                let (quantity, old, new) = match (before.ratio, after.ratio) {
                    (Some(before), Some(after)) => ("ratio", before, after),
                    _ => ("ms", before.ms.median, after.ms.median),
                };
                changes.push(Change { row: before.name(), quantity, old, new });
            }
        }
    }
    let pairs = [
        ("model", &old.model.name, &new.model.name),
        ("number format", &old.model.dtype, &new.model.dtype),
        ("processor", &old.environment.cpu, &new.environment.cpu),
    ];
    let differs = pairs.iter().filter(|(_, old, new)| old != new);
    let circumstances = differs.map(|(what, old, new)| format!("{what}: `{old}`, now `{new}`"));
    Verdict { threshold, changes, gone, circumstances: circumstances.collect() }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;

    #[test]
    fn a_record_is_no_regression_against_itself() {
        let verdict = gate(&sample(), &sample(), 0.1);
        assert!(!verdict.regressed() && verdict.changes.len() == 2);
    }

    #[test]
    fn a_slower_row_and_one_that_is_gone_are_regressions() {
        let mut slower = sample();
        slower.rows[1].ms.median *= 1.2;
        assert!(gate(&sample(), &slower, 0.1).regressed());
        assert!(!gate(&sample(), &slower, 0.25).regressed());
        slower.rows.pop();
        let verdict = gate(&sample(), &slower, 0.25);
        assert!(verdict.regressed() && verdict.markdown().contains("is gone"));
    }

    #[test]
    fn beside_a_peer_a_busier_machine_is_no_regression() {
        let mut busy = sample();
        busy.rows[0].ms.median *= 3.0;
        if let Some(peer) = &mut busy.rows[0].peer_ms {
            peer.median *= 3.0;
        }
        let verdict = gate(&sample(), &busy, 0.1);
        assert!(!verdict.regressed(), "{}", verdict.markdown());
        assert_eq!(verdict.changes[0].quantity, "ratio");
    }
}
