//! Intervals against published values and against slow references.

use super::*;
use crate::quantile;
use proptest::prelude::*;

fn near(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{a} is not {b}");
}

/// A generator for slow references: xorshift, from a fixed seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn share(&mut self) -> f64 {
        self.below(1 << 30) as f64 / f64::from(1 << 30)
    }
}

/// Means of pictures drawn again, as many as there are: their 2.5 and 97.5 percentiles.
fn bootstrap(clusters: &[Vec<f64>], draws: &mut Draws) -> (f64, f64) {
    let once = |draws: &mut Draws| {
        let (mut sum, mut n) = (0.0, 0);
        for _ in clusters {
            let cluster = &clusters[draws.below(clusters.len())];
            sum += cluster.iter().sum::<f64>();
            n += cluster.len();
        }
        sum / n as f64
    };
    let means: Vec<f64> = (0..4000).map(|_| once(draws)).collect();
    (quantile(&means, 0.025).expect("some"), quantile(&means, 0.975).expect("some"))
}

#[test]
fn wilsons_interval_has_the_published_values() {
    // Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for (right, n, low, high) in [
        (81.0, 263.0, 0.2553, 0.3662),
        (15.0, 148.0, 0.0624, 0.1605),
        (0.0, 20.0, 0.0, 0.1611),
        (1.0, 29.0, 0.0061, 0.1718),
    ] {
        let (found_low, found_high) = wilson(right / n, n);
        near(found_low, low, 5e-5);
        near(found_high, high, 5e-5);
    }
    assert_eq!(wilson(1.0, 50.0).1, 1.0);
}

#[test]
fn mcnemars_exact_p_has_the_known_values() {
    // 2 * (1 + 10) / 2^10 and 2 * (1 + 5 + 10) / 2^5, which is 1.
    near(mcnemar(1, 9), 0.021_484_375, 1e-12);
    near(mcnemar(9, 1), 0.021_484_375, 1e-12);
    assert_eq!(mcnemar(2, 3), 1.0);
    assert_eq!(mcnemar(0, 0), 1.0);
    assert!(mcnemar(0, 3000) < 1e-300);
}

#[test]
fn paired_differences_have_students_interval() {
    // R: t.test(c(.8,.6,.9,.7,.5), c(.7,.6,.7,.4,.6), paired = TRUE): .1, -.0963 to .2963.
    let (a, b) = ([0.8, 0.6, 0.9, 0.7, 0.5], [0.7, 0.6, 0.7, 0.4, 0.6]);
    let found = paired(&a, &b, &Clusters::single(5)).expect("pairs");
    near(found.difference, 0.1, 1e-12);
    near(found.low, 0.1 - 2.776_445 * (0.025_f64 / 5.0).sqrt(), 1e-6);
    near(found.high, 0.1 + 2.776_445 * (0.025_f64 / 5.0).sqrt(), 1e-6);
    assert_eq!((found.p, found.n), (None, 5));
}

#[test]
fn right_or_wrong_pairs_get_mcnemars_p_unless_pictures_repeat() {
    let (a, b) = ([1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]);
    assert_eq!(paired(&a, &b, &Clusters::single(4)).and_then(|d| d.p), Some(1.0));
    assert_eq!(paired(&a, &b, &Clusters::by([1, 1, 2, 3])).and_then(|d| d.p), None);
}

#[test]
fn rows_that_never_differ_still_leave_room_for_what_was_not_seen() {
    let scores = vec![1.0; 100];
    let found = paired(&scores, &scores, &Clusters::single(100)).expect("pairs");
    // The upper end of Clopper and Pearson's interval for 0 of 100.
    near(found.high, 0.036_217, 1e-6);
    near(found.low, -0.036_217, 1e-6);
    assert_eq!(found.p, Some(1.0));
}

#[test]
fn asking_every_picture_twice_the_same_makes_nothing_more_certain() {
    let once: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 5 != 0))).collect();
    let twice: Vec<f64> = once.iter().flat_map(|score| [*score, *score]).collect();
    let pictures = Clusters::by((0..400).map(|i| i / 2));
    let (a, b) = (mean(&once, &Clusters::single(200)), mean(&twice, &pictures));
    let (a, b) = (a.expect("some"), b.expect("some"));
    near(a.low, b.low, 5e-4);
    near(a.high, b.high, 5e-4);
    assert!(mean(&twice, &Clusters::single(400)).expect("some").low > b.low + 0.01);
    let all_right = mean(&[1.0; 400], &pictures).expect("some");
    near(all_right.low, wilson(1.0, 200.0).0, 1e-12);
}

#[test]
fn intervals_are_those_of_a_bootstrap_over_pictures() {
    let mut draws = Draws(0x5eed);
    for soft in [false, true] {
        // Pictures differ in difficulty, so that their items agree more than chance has it.
        let pictures: Vec<Vec<f64>> = (0..300)
            .map(|_| {
                let (ease, items) = (draws.share(), 1 + draws.below(4));
                let score = |draws: &mut Draws| match soft {
                    true => (ease + draws.share()) / 2.0,
                    false => f64::from(u8::from(draws.share() < ease)),
                };
                (0..items).map(|_| score(&mut draws)).collect()
            })
            .collect();
        let scores = pictures.concat();
        let keys = pictures.iter().enumerate().flat_map(|(key, items)| vec![key; items.len()]);
        let found = mean(&scores, &Clusters::by(keys)).expect("some");
        let (low, high) = bootstrap(&pictures, &mut draws);
        let tolerance = 0.1 * (high - low);
        near(found.low, low, tolerance);
        near(found.high, high, tolerance);
    }
}

#[test]
fn a_mean_over_families_weighs_families_alike_and_covers_like_a_bootstrap() {
    let mut draws = Draws(7);
    let sizes = [400, 100, 50];
    let families: Vec<usize> =
        sizes.iter().enumerate().flat_map(|(family, &n)| vec![family; n]).collect();
    let scores: Vec<f64> = families
        .iter()
        .map(|family| f64::from(u8::from(draws.share() < [0.9, 0.6, 0.4][*family])))
        .collect();
    let found = mean_over_families(&scores, &families, &Clusters::single(550)).expect("some");
    let of = |family| -> Vec<f64> {
        let pairs = scores.iter().zip(&families);
        pairs.filter(|(_, of)| **of == family).map(|(score, _)| *score).collect()
    };
    let means: Vec<f64> =
        (0..3).map(|family| of(family).iter().sum::<f64>() / sizes[family] as f64).collect();
    near(found.mean, means.iter().sum::<f64>() / 3.0, 1e-12);
    let again: Vec<f64> = (0..4000)
        .map(|_| {
            let mean = |family: usize| {
                let scores = of(family);
                let n = scores.len();
                (0..n).map(|_| scores[draws.below(n)]).sum::<f64>() / n as f64
            };
            (0..3).map(mean).sum::<f64>() / 3.0
        })
        .collect();
    let (low, high) = (quantile(&again, 0.025), quantile(&again, 0.975));
    near(found.low, low.expect("some"), 0.008);
    near(found.high, high.expect("some"), 0.008);
}

#[test]
fn nothing_has_no_mean_and_one_item_has_no_certainty() {
    assert_eq!(mean(&[], &Clusters::single(0)), None);
    assert_eq!(paired(&[], &[], &Clusters::single(0)), None);
    assert_eq!(mean_over_families(&[], &[], &Clusters::single(0)), None);
    let one = mean(&[0.5], &Clusters::single(1)).expect("one");
    assert_eq!((one.low, one.high), (0.0, 1.0));
    let one = paired(&[0.5], &[0.25], &Clusters::single(1)).expect("one");
    assert_eq!((one.low, one.high), (-1.0, 1.0));
}

#[test]
fn a_spread_is_the_median_and_the_distances_to_it() {
    let spread = Spread::of(&[1.0, 2.0, 3.0, 4.0, 100.0]).expect("some");
    assert_eq!((spread.median, spread.mad, spread.n), (3.0, 1.0, 5));
}

#[test]
fn a_saving_is_a_ratio_of_means_and_not_a_mean_of_ratios() {
    assert_eq!(saving(&[10.0, 10.0], &[2.0, 8.0]), Some(2.0));
    assert_eq!(saving(&[1.0], &[0.0]), None);
    assert_eq!(saving(&[], &[]), None);
}

fn scores() -> impl Strategy<Value = Vec<f64>> {
    let score = prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0];
    prop::collection::vec(score, 1..40)
}

proptest! {
    #[test]
    fn an_interval_holds_its_mean_and_stays_in_range(scores in scores(), pictures in 1_usize..10) {
        let clusters = Clusters::by((0..scores.len()).map(|i| i % pictures));
        let families: Vec<usize> = (0..scores.len()).map(|i| i % 3).collect();
        for found in [mean(&scores, &clusters), mean_over_families(&scores, &families, &clusters)] {
            let found = found.expect("some");
            prop_assert!(0.0 <= found.low && found.low <= found.mean + 1e-12);
            prop_assert!(found.mean <= found.high + 1e-12 && found.high <= 1.0);
        }
    }

    #[test]
    fn a_difference_turns_round_with_its_rows(a in scores(), seed in 1_u64..1000) {
        let mut draws = Draws(seed);
        let b: Vec<f64> = a.iter().map(|_| draws.share().round()).collect();
        let clusters = Clusters::single(a.len());
        let there = paired(&a, &b, &clusters).expect("some");
        let back = paired(&b, &a, &clusters).expect("some");
        prop_assert!((there.difference + back.difference).abs() < 1e-12);
        prop_assert!((there.low + back.high).abs() < 1e-9);
        prop_assert_eq!(there.p, back.p);
    }

    #[test]
    fn mcnemars_p_is_the_sum_of_all_splits_that_are_as_uneven(a in 0_u64..30, b in 0_u64..30) {
        let n = a + b;
        let ways = |k: u64| (0..k).fold(1.0, |ways, i| ways * (n - i) as f64 / (i + 1) as f64);
        let uneven = (0..=n).filter(|k| (*k).min(n - k) <= a.min(b));
        let slow: f64 = uneven.map(ways).sum::<f64>() / 2_f64.powi(n as i32);
        prop_assert!((mcnemar(a, b) - slow).abs() < 1e-9);
    }
}
