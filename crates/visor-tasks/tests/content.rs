//! What every sample promises: words of the vocabulary, questions, evidence, labels, both easy and hard.

use std::collections::{BTreeMap, BTreeSet};

use visor_tasks::{Family, Kind, Question, Sample, Split, Suite, SuiteName};

fn each(suite: &Suite, seeds: u64, mut visit: impl FnMut(Split, Family, &Sample)) {
    for &split in Split::ALL {
        for &family in suite.families() {
            for seed in 0..seeds {
                visit(split, family, &suite.sample(split, family, seed));
            }
        }
    }
}

fn large_canvas() -> Suite {
    Suite::with_canvas(SuiteName::Small, 384).expect("the small suite has a large canvas")
}

fn check_words(suite: &Suite, seeds: u64) {
    let list = suite.vocabulary();
    let vocabulary: BTreeSet<&str> = list.iter().copied().collect();
    assert_eq!(vocabulary.len(), list.len(), "a word stands twice");
    let known = |text: &str| text.split(' ').all(|word| vocabulary.contains(word));
    each(suite, seeds, |split, family, sample| {
        assert!(known(&sample.caption), "{split} {family}: {}", sample.caption);
        for question in &sample.questions {
            assert!(known(&question.text), "{split} {family}: {}", question.text);
            assert!(known(&question.answer), "{split} {family}: {}", question.answer);
            assert!(question.text.split(' ').count() <= suite.max_question_words());
            assert!(question.answer.split(' ').count() <= suite.max_answer_words());
        }
    });
    for slot in suite.slots() {
        for word in slot.words().unwrap_or_default() {
            assert!(vocabulary.contains(word), "{slot:?}: {word}");
        }
    }
}

fn check_questions(suite: &Suite, seeds: u64) {
    each(suite, seeds, |_, family, sample| {
        assert!((2..=4).contains(&sample.questions.len()));
        assert_eq!(sample.questions[0].family, family);
        assert_eq!(sample.picture.size, suite.canvas());
        assert_eq!(sample.picture.rgb.len(), suite.canvas() * suite.canvas() * 3);
        let texts: BTreeSet<&str> = sample.questions.iter().map(|q| q.text.as_str()).collect();
        assert_eq!(texts.len(), sample.questions.len(), "a question stands twice");
    });
}

fn check_evidence(suite: &Suite, seeds: u64) {
    let patches = suite.grid() * suite.grid();
    each(suite, seeds, |split, family, sample| {
        for question in &sample.questions {
            assert_eq!(question.evidence.len(), patches);
            let shown = question.evidence.iter().filter(|&&holds| holds).count();
            assert!(shown > 0, "{split} {family}: {}", question.text);
            assert_eq!(usize::from(question.difficulty.evidence_patches), shown);
            match question.family {
                Family::Colour | Family::Shape => assert_eq!(shown, 1),
                Family::Needle => assert!(shown <= 4),
                Family::Chain => assert_eq!(shown, usize::from(question.difficulty.hops) + 1),
                Family::Group => assert_eq!(shown.to_string(), question.answer),
                Family::Count if question.answer != "0" => {
                    assert_eq!(shown.to_string(), question.answer);
                }
                _ => {}
            }
        }
        assert!(sample.grounding.iter().all(|label| usize::from(label.patch) < patches));
        assert!(sample.grounding.iter().all(|l| usize::from(l.class) < l.slot.classes()));
        assert!(sample.grounding.iter().all(|label| suite.slots().contains(&label.slot)));
    });
}

#[test]
fn every_word_of_every_nano_sample_is_in_the_vocabulary() {
    check_words(&Suite::new(SuiteName::Nano), 300);
}

#[test]
fn nano_samples_carry_two_to_four_different_questions() {
    check_questions(&Suite::new(SuiteName::Nano), 300);
}

#[test]
fn nano_evidence_is_never_empty_and_as_small_as_the_question() {
    check_evidence(&Suite::new(SuiteName::Nano), 300);
}

#[test]
fn every_word_of_every_small_sample_is_in_the_vocabulary() {
    check_words(&Suite::new(SuiteName::Small), 20);
    check_words(&large_canvas(), 5);
}

#[test]
fn small_samples_carry_two_to_four_different_questions() {
    check_questions(&Suite::new(SuiteName::Small), 20);
    check_questions(&large_canvas(), 5);
}

#[test]
fn small_evidence_is_never_empty_and_as_small_as_the_question() {
    check_evidence(&Suite::new(SuiteName::Small), 20);
    check_evidence(&large_canvas(), 5);
}

/// What makes pictures of a family easy or hard to see, apart from the words.
fn measures(question: &Question) -> [u16; 3] {
    let difficulty = question.difficulty;
    [difficulty.objects, u16::from(difficulty.hops), u16::from(difficulty.glyph_height)]
}

/// Checks that the same words meet pictures of which one has at least twice as much of something.
fn check_spread(suite: &Suite, seeds: u64) {
    for &family in suite.families() {
        let mut by_text: BTreeMap<String, Vec<[u16; 3]>> = BTreeMap::new();
        for seed in 0..seeds {
            let question = suite.sample(Split::Train, family, seed).questions.swap_remove(0);
            by_text.entry(question.text.clone()).or_default().push(measures(&question));
        }
        let frequent = by_text.into_iter().max_by_key(|(_, list)| list.len());
        let (text, list) = frequent.expect("there are questions");
        let wide = (0..3).any(|measure| {
            let (low, high) = (
                list.iter().map(|values| values[measure]).min(),
                list.iter().map(|values| values[measure]).max(),
            );
            low.map(|low| low.max(1) * 2) <= high
        });
        assert!(wide, "{family}: `{text}` meets {list:?}");
    }
}

#[test]
fn every_family_meets_the_same_words_with_easy_and_hard_pictures() {
    check_spread(&Suite::new(SuiteName::Nano), 2000);
    check_spread(&Suite::new(SuiteName::Small), 300);
}

#[test]
fn nano_chains_groups_and_numbers_vary_in_what_they_take() {
    let suite = Suite::new(SuiteName::Nano);
    let distinct = |family: Family, measure: fn(&Question) -> u16| {
        let questions = (0..400).map(|seed| suite.sample(Split::Train, family, seed));
        questions.map(|sample| measure(&sample.questions[0])).collect::<BTreeSet<u16>>()
    };
    assert_eq!(distinct(Family::Chain, |q| q.difficulty.hops.into()), (1..=4).collect());
    assert_eq!(distinct(Family::Group, |q| q.difficulty.evidence_patches), (1..=5).collect());
    assert_eq!(distinct(Family::Read, |q| q.difficulty.glyph_height.into()), [7, 14].into());
}

#[test]
fn both_kinds_of_family_are_there() {
    let suite = Suite::new(SuiteName::Nano);
    let refined = suite.families().iter().filter(|f| f.kind() == Kind::Refinement).count();
    assert_eq!((suite.families().len(), refined), (7, 3));
    assert_eq!(Suite::new(SuiteName::Small).families(), Family::ALL);
    assert_eq!(Family::Needle.kind(), Kind::Resolution);
    assert_eq!(suite.family("chain"), Ok(Family::Chain));
    assert!(suite.family("chess").is_err());
}
