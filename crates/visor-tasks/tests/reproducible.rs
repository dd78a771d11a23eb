//! The same bits everywhere, and no picture in two splits.

use std::collections::BTreeSet;

use visor_tasks::{Sample, Split, StandardMix, Suite, SuiteName};

/// FNV-1a, 64 bits.
fn digest(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xCBF2_9CE4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// Everything that a sample holds, as bytes.
fn bytes(sample: &Sample) -> Vec<u8> {
    let mut bytes = sample.picture.rgb.clone();
    bytes.extend(sample.caption.bytes());
    for question in &sample.questions {
        bytes.extend(
            format!("{} {} {:?}", question.text, question.answer, question.difficulty).bytes(),
        );
        bytes.extend(question.evidence.iter().map(|&holds| u8::from(holds)));
    }
    for label in &sample.grounding {
        bytes.extend(label.patch.to_le_bytes());
        bytes.extend(format!("{:?}", label.slot).bytes());
        bytes.extend([label.class, label.from_depth]);
    }
    bytes
}

fn goldens(suite: &Suite) -> Vec<(String, u64)> {
    let mut goldens = Vec::new();
    for &split in Split::ALL {
        for &family in suite.families() {
            let samples = (0..3).flat_map(|seed| bytes(&suite.sample(split, family, seed << 40)));
            goldens.push((format!("{split} {family}"), digest(samples)));
        }
    }
    goldens
}

fn check_goldens(suite: &Suite, committed: &str) {
    let lines: Vec<String> =
        goldens(suite).iter().map(|(name, digest)| format!("{name} {digest:016x}")).collect();
    let lines = lines.join("\n");
    assert_eq!(committed.trim(), lines, "a change here must raise Suite::version");
}

#[test]
fn nano_samples_are_the_committed_ones_to_the_bit() {
    check_goldens(&Suite::new(SuiteName::Nano), include_str!("goldens/nano.txt"));
}

#[test]
fn small_samples_are_the_committed_ones_to_the_bit() {
    check_goldens(&Suite::new(SuiteName::Small), include_str!("goldens/small.txt"));
}

#[test]
fn the_standard_mix_is_frozen() {
    let mix = StandardMix::new(Suite::new(SuiteName::Nano), &[]).expect("both halves");
    let all = |split, n| digest((0..n).flat_map(|index| bytes(&mix.sample(split, index))));
    let digests = [all(Split::Test, 4000), all(Split::Validation, 400), all(Split::Train, 400)];
    let committed = include_str!("goldens/standard-nano.txt");
    let lines = digests.map(|digest| format!("{digest:016x}")).join("\n");
    assert_eq!(committed.trim(), lines, "comparisons rest on this mix: it never changes");
}

#[test]
fn no_picture_of_training_is_met_in_another_split() {
    let suite = Suite::new(SuiteName::Nano);
    let pictures = |split: Split| -> BTreeSet<u64> {
        (0..4200)
            .map(|index| {
                let family = suite.families()[index % suite.families().len()];
                digest(suite.sample(split, family, index as u64).picture.rgb)
            })
            .collect()
    };
    let train = pictures(Split::Train);
    assert_eq!(train.len(), 4200, "seeds repeat pictures");
    for split in [Split::Validation, Split::Test, Split::Harder] {
        assert!(train.is_disjoint(&pictures(split)), "{split} shares pictures with train");
    }
}

#[test]
fn a_sample_depends_on_nothing_but_its_names_and_its_seed() {
    let (suite, family) = (Suite::new(SuiteName::Nano), visor_tasks::Family::Group);
    let late = suite.sample(Split::Test, family, u64::MAX);
    let _others: Vec<_> = (0..5).map(|seed| suite.sample(Split::Train, family, seed)).collect();
    assert_eq!(late, Suite::new(SuiteName::Nano).sample(Split::Test, family, u64::MAX));
    assert_ne!(late.picture, suite.sample(Split::Test, family, 0).picture);
}
