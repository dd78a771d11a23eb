//! What can be known without looking: nothing. Answers are balanced, and words tell no answer.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use visor_tasks::{Family, Question, Split, Suite, SuiteName};

/// How many equally frequent answers a family's first question has in the usual splits; `None` for a
/// family that asks several things with different answers.
fn answers(suite: &Suite, family: Family) -> Option<usize> {
    let nano = suite.name() == SuiteName::Nano;
    match family {
        Family::Colour | Family::Chain => Some(6),
        Family::Shape => Some(5),
        Family::Count => Some(if nano { 6 } else { 10 }),
        Family::Group => Some(if nano { 5 } else { 9 }),
        Family::Read => nano.then_some(100),
        Family::Twin | Family::Exist | Family::Relation => Some(2),
        Family::Needle | Family::Trace => Some(10),
        _ => None,
    }
}

/// The accuracy of guessing a family's first question from its words.
fn chance(suite: &Suite, family: Family) -> f64 {
    let among = |n: usize| 1.0 / n as f64;
    match (family, answers(suite, family)) {
        (_, Some(answers)) => among(answers),
        // Numbers of three and of four digits.
        (Family::Read, _) => (among(1000) + among(10_000)) / 2.0,
        // Colours and shapes.
        (Family::Attribute, _) => (among(6) + among(5)) / 2.0,
        // Any other noun, and numbers of two digits.
        (Family::Text, _) => (among(31) + among(100)) / 2.0,
        // Values from 10 to 99, and names of rows or columns.
        (Family::Table, _) => (among(90) + among(16)) / 2.0,
        // Values from 1 to 9, and labels.
        (Family::Chart, _) => (among(9) + among(16)) / 2.0,
        (other, None) => unreachable!("no chance is stated for {other}"),
    }
}

/// First questions of training by family, drawn once for all tests of a suite.
struct Drawn {
    suite: Suite,
    count: usize,
    questions: Vec<(Family, Vec<Question>)>,
    further: BTreeMap<Family, Vec<Question>>,
}

static DRAWN: LazyLock<[Drawn; 2]> =
    LazyLock::new(|| [Drawn::new(SuiteName::Nano, 6000), Drawn::new(SuiteName::Small, 600)]);

impl Drawn {
    fn new(name: SuiteName, count: usize) -> Self {
        let suite = Suite::new(name);
        let mut drawn = Self { suite, count, questions: Vec::new(), further: BTreeMap::new() };
        for &family in suite.families() {
            let mut list = Vec::with_capacity(count);
            for seed in 0..count as u64 {
                let mut questions = suite.sample(Split::Train, family, seed).questions.into_iter();
                list.extend(questions.next());
                for question in questions {
                    drawn.further.entry(question.family).or_default().push(question);
                }
            }
            drawn.questions.push((family, list));
        }
        drawn
    }
}

fn tally<'a>(answers: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(answer).or_insert(0) += 1;
    }
    tally
}

fn most_frequent<'a>(tally: &BTreeMap<&'a str, usize>) -> Option<&'a str> {
    tally.iter().max_by_key(|(_, count)| **count).map(|(answer, _)| *answer)
}

/// The accuracy on one half of the questions of always giving, for each text, the answer that was the
/// most frequent for it on the other half; for a text not met there, the most frequent of all.
fn blind_accuracy(questions: &[Question]) -> f64 {
    let (learn, judge) = questions.split_at(questions.len() / 2);
    let overall = tally(learn.iter().map(|q| q.answer.as_str()));
    let mut by_text: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for question in learn {
        let answers = by_text.entry(&question.text).or_default();
        *answers.entry(&question.answer).or_insert(0) += 1;
    }
    let guess = |text: &str| most_frequent(by_text.get(text).unwrap_or(&overall));
    let right = judge.iter().filter(|q| guess(&q.text) == Some(q.answer.as_str())).count();
    right as f64 / judge.len() as f64
}

/// Whether the answers are as uneven as five deviations of a chi-square variable above its mean.
fn uneven(tally: &BTreeMap<&str, usize>, answers: usize, count: usize) -> bool {
    let expected = count as f64 / answers as f64;
    let seen: f64 = tally.values().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
    let unseen = (answers - tally.len()) as f64 * expected;
    let degrees = answers as f64 - 1.0;
    seen + unseen > degrees + 5.0 * (2.0 * degrees).sqrt()
}

#[test]
fn every_answer_of_a_family_is_equally_frequent() {
    for drawn in DRAWN.iter() {
        for (family, questions) in &drawn.questions {
            let Some(answers) = answers(&drawn.suite, *family) else { continue };
            let tally = tally(questions.iter().map(|q| q.answer.as_str()));
            assert!(!uneven(&tally, answers, drawn.count), "{family}: {tally:?}");
        }
    }
}

#[test]
fn nano_answers_are_as_balanced_in_the_test_split() {
    let suite = Suite::new(SuiteName::Nano);
    for &family in suite.families() {
        let sample = |seed| suite.sample(Split::Test, family, seed).questions.swap_remove(0);
        let questions: Vec<Question> = (0..2000).map(sample).collect();
        let tally = tally(questions.iter().map(|q| q.answer.as_str()));
        let answers = answers(&suite, family).expect("nano families ask one thing each");
        assert!(!uneven(&tally, answers, questions.len()), "{family}: {tally:?}");
    }
}

#[test]
fn a_blank_picture_leaves_every_first_question_at_chance() {
    for drawn in DRAWN.iter() {
        for (family, questions) in &drawn.questions {
            let (blind, chance) = (blind_accuracy(questions), chance(&drawn.suite, *family));
            // Four binomial deviations on the half that is judged.
            let slack = 4.0 * (chance * (1.0 - chance) / (drawn.count as f64 / 2.0)).sqrt();
            assert!((blind - chance).abs() < slack, "{family}: {blind} where chance is {chance}");
        }
    }
}

#[test]
fn a_blank_picture_leaves_further_questions_near_chance() {
    for drawn in DRAWN.iter() {
        for (family, questions) in &drawn.further {
            let (blind, chance) = (blind_accuracy(questions), chance(&drawn.suite, *family));
            // Further questions about charts also ask which of two bars is taller: yes or no.
            let allowed = if *family == Family::Chart { 0.32 } else { chance + 0.12 };
            assert!(blind < allowed, "{family}: {blind} where chance is {chance}");
        }
    }
}

#[test]
fn nano_chains_ask_for_every_number_of_hops_equally_often() {
    let (_, questions) =
        DRAWN[0].questions.iter().find(|(f, _)| *f == Family::Chain).expect("nano has chains");
    for hops in 1..=4 {
        let share = questions.iter().filter(|q| q.difficulty.hops == hops).count();
        assert!((1350..1650).contains(&share), "{hops} hops: {share} of 6000");
    }
    let suite = Suite::new(SuiteName::Nano);
    let harder = (0..100).map(|seed| suite.sample(Split::Harder, Family::Chain, seed));
    assert!(harder.into_iter().all(|sample| sample.questions[0].difficulty.hops == 5));
}
