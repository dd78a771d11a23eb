//! What the patches that questions choose are worth, and how many they are.

use super::{Table, TableRow, words};
use crate::compare::record::CompareRecord;
use crate::compare::render::format;
use visor_train::selector::{FamilyRecord, LevelRecord};

/// Upper ends of the columns of a histogram; what is above the last stands in one more.
const ENDS: [u16; 7] = [1, 3, 7, 15, 31, 63, 127];

/// At every rung, the chosen patches and what they are held against.
pub(super) fn worth(record: &CompareRecord) -> Table {
    let levels = record.selection.iter().flat_map(|selection| &selection.levels);
    let points = |[mean, low, high]: [f64; 3]| {
        let [mean, low, high] = [mean, low, high].map(format::signed);
        format!("{mean} [{low}, {high}]")
    };
    let row = |level: &LevelRecord| {
        let LevelRecord { rung, patches, sighted, accuracy, one_look, refinement, .. } = level;
        let all = patches == "all";
        let points = |found| if all { format::NONE.to_owned() } else { points(found) };
        let which = if all { format::NONE } else { sighted.word() };
        let cells = vec![
            rung.clone(),
            patches.clone(),
            which.to_owned(),
            format::percent(*accuracy),
            points(level.difference),
            format::percent(*one_look),
            points(level.one_look_difference),
            format::percent(*refinement),
        ];
        TableRow { cells, group: None }
    };
    let families = record.selection.iter().flat_map(|selection| selection.families.values());
    let questions: u32 = families.map(|family| family.n).sum();
    Table {
        title: "What the chosen patches are worth".to_owned(),
        note: format!(
            "On the first {} questions. Cross-attention reads the patches that the question chose, \
             or in their place: as many at random, all but those, as many by what other questions \
             would choose, and the chosen places of a blank and of another picture. Differences \
             are paired, to reading all patches at the same rung.",
            format::grouped(questions as usize)
        ),
        header: words([
            "budget",
            "patches",
            "which",
            "accuracy %",
            "vs all, points",
            "easy %",
            "vs all, points",
            "hard %",
        ]),
        words: 3,
        rows: levels.map(row).collect(),
    }
}

/// How many patches the questions of each family choose at `auto`.
pub(super) fn numbers(record: &CompareRecord) -> Table {
    let title = "How many patches questions choose at `auto`".to_owned();
    let Some(selection) = &record.selection else {
        return Table { title, note: String::new(), header: vec![], words: 0, rows: vec![] };
    };
    let families = &selection.families;
    let taken = |column: usize| {
        let holds = |k: &u16| column_of(*k) == column;
        families.values().any(|family| family.k.keys().any(holds))
    };
    let columns: Vec<usize> = (0..=ENDS.len()).filter(|&column| taken(column)).collect();
    let mut header = words(["family", "n", "mean k"]);
    header.extend(columns.iter().map(|&column| named(column)));
    header.extend(words(["best is evidence %", "by chance %", "evidence chosen %"]));
    let row = |(name, family): (&String, &FamilyRecord)| {
        let of_column = |&column: &usize| {
            let there = family.k.iter().filter(|(k, _)| column_of(**k) == column);
            let there: u32 = there.map(|(_, n)| n).sum();
            format::percent(f64::from(there) / f64::from(family.n))
        };
        let mut cells = vec![name.clone(), family.n.to_string(), format!("{:.1}", family.mean_k)];
        cells.extend(columns.iter().map(of_column));
        let shares = [family.pointing, family.pointing_by_chance, family.recall];
        cells.extend(shares.map(format::percent));
        TableRow { cells, group: None }
    };
    let note = format!(
        "Percent of the questions that choose so many of {} patches; the evidence is what the \
         generator knows that an answer depends on.",
        selection.n_visual
    );
    Table { title, note, header, words: 1, rows: families.iter().map(row).collect() }
}

fn column_of(k: u16) -> usize {
    ENDS.iter().position(|&end| k <= end).unwrap_or(ENDS.len())
}

fn named(column: usize) -> String {
    let low = match column {
        0 => 1,
        _ => ENDS[column - 1] + 1,
    };
    match ENDS.get(column) {
        Some(&high) if high == low => format!("k {low}"),
        Some(high) => format!("k {low}-{high}"),
        None => format!("k {low}+"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_patches_has_one_column_and_columns_say_which_they_hold() {
        let names: Vec<String> = (0..=ENDS.len()).map(named).collect();
        assert_eq!(names[..3], ["k 1", "k 2-3", "k 4-7"]);
        assert_eq!(names[7], "k 128+");
        for (k, name) in [(1, "k 1"), (2, "k 2-3"), (3, "k 2-3"), (64, "k 64-127"), (500, "k 128+")]
        {
            assert_eq!(named(column_of(k)), name, "{k}");
        }
    }
}
