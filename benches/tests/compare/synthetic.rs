//! Observations that were never made: a ladder, policies and baselines with known strengths.
//!
//! Everything follows from a seed. The strengths are like those of a small trained network:
//! one-look families are solved by every rung, refinement families need the dear ones.

use std::collections::BTreeMap;
use visor_benches::Environment;
use visor_benches::compare::observation::{
    Answer, Flops, Group, Item, Kind, Observations, Row, RowHead, Scope, Suite, TimingSample,
};
use visor_benches::compare::record::{CompareRecord, Context, Fitting, Identity, Protocol};
use visor_benches::compare::references::FamilyScores;

/// SplitMix64.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal, with a deviation of 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// A family with the share that each of four rungs gets right, and the loss when visual tokens are
/// pooled by four.
struct Family {
    name: &'static str,
    kind: Kind,
    right: [f64; 4],
    pooling_costs: f64,
}

const FAMILIES: [Family; 7] = [
    Family { name: "colour", kind: Kind::Easy, right: [1.0, 1.0, 1.0, 1.0], pooling_costs: 0.10 },
    Family { name: "shape", kind: Kind::Easy, right: [0.99, 1.0, 1.0, 1.0], pooling_costs: 0.15 },
    Family { name: "count", kind: Kind::Easy, right: [0.98, 0.99, 0.99, 0.99], pooling_costs: 0.3 },
    Family { name: "read", kind: Kind::Easy, right: [0.98, 0.98, 0.99, 0.99], pooling_costs: 0.6 },
    Family { name: "chain", kind: Kind::Hard, right: [0.70, 0.78, 0.89, 0.98], pooling_costs: 0.5 },
    Family { name: "group", kind: Kind::Hard, right: [0.42, 0.61, 0.79, 0.89], pooling_costs: 0.4 },
    Family { name: "twin", kind: Kind::Hard, right: [0.56, 0.79, 0.98, 0.99], pooling_costs: 0.3 },
];

/// How one row answers.
struct Ability {
    name: String,
    group: Group,
    about: &'static str,
    network: Option<&'static str>,
    visual_tokens: u32,
    /// Share that it gets right of a family, by number, at a difficulty from 0 to 1.
    right: Box<dyn Fn(usize, f64) -> f64>,
    /// Of the decoder because of the picture, of all else of its prefill, of the encoder.
    mega: (f64, f64, f64),
    layers: u16,
}

/// What was never observed, and other items of the same kind to fit on.
pub(crate) struct Synthetic {
    pub(crate) run: Observations,
    pub(crate) fitting: FamilyScores,
}

pub(crate) fn synthetic(items_a_family: usize, seed: u64) -> Synthetic {
    Synthetic {
        run: observations(items_a_family, seed),
        fitting: FamilyScores::of(&observations(items_a_family, seed + 1)).expect("a ladder"),
    }
}

pub(crate) fn record(synthetic: &Synthetic) -> CompareRecord {
    CompareRecord::new(&synthetic.run, context(synthetic)).expect("a record")
}

pub(crate) fn context(synthetic: &Synthetic) -> Context {
    let settings = [("device", "cpu"), ("dtype", "f32"), ("seed", "7"), ("threads", "2")];
    Context {
        environment: Environment {
            cpu: "Imaginary 9000".to_owned(),
            cpus: 2,
            platform: "linux x86_64".to_owned(),
            visor: "0.1.0".to_owned(),
            burn: "0.22.1".to_owned(),
            optimised: true,
        },
        model: Identity { name: "nano".to_owned(), sha256: "6b86b273ff34fce1".repeat(4) },
        policy: Some(Identity {
            name: "nano-auto".to_owned(),
            sha256: "d4735e3a265e16ee".repeat(4),
        }),
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        protocol: Some(Protocol {
            warm_up: 5,
            order: "rows in random order in each of 30 rounds".to_owned(),
        }),
        full: None,
        dense: None,
        routed: Some("auto@0.10".to_owned()),
        cost_scope: Scope::EndToEnd,
        benchmark: None,
        selection: None,
        fitting: Some(Fitting {
            name: "other questions".to_owned(),
            scores: synthetic.fitting.clone(),
        }),
    }
}

fn items(items_a_family: usize, draws: &mut Draws) -> (Vec<Item>, Vec<f64>) {
    let (mut items, mut difficulties) = (Vec::new(), Vec::new());
    for (number, family) in FAMILIES.iter().enumerate() {
        for index in 0..items_a_family {
            let level = (draws.share() * 4.0).floor().min(3.0);
            let mut difficulty = BTreeMap::new();
            match family.name {
                "chain" => drop(difficulty.insert("hops".to_owned(), level as f32 + 1.0)),
                "group" => drop(difficulty.insert("size".to_owned(), level as f32 + 1.0)),
                _ => {}
            }
            items.push(Item {
                id: format!("{}-{index}", family.name),
                family: family.name.to_owned(),
                kind: family.kind,
                picture: (number * items_a_family + index) as u64,
                difficulty,
            });
            difficulties.push(level / 3.0);
        }
    }
    (items, difficulties)
}

/// A rung's share of a family: harder items lose what the rung lacks.
fn of_rung(rung: usize) -> impl Fn(usize, f64) -> f64 {
    move |family, difficulty| {
        let lacks = 1.0 - FAMILIES[family].right[rung];
        (1.0 - lacks * (0.4 + 1.2 * difficulty)).clamp(0.0, 1.0)
    }
}

fn pooled(rung: usize, strength: f64) -> impl Fn(usize, f64) -> f64 {
    let whole = of_rung(rung);
    move |family, difficulty| whole(family, difficulty) - strength * FAMILIES[family].pooling_costs
}

fn abilities() -> Vec<Ability> {
    let ability = |name: &str, group, about, right, mega, layers| Ability {
        name: name.to_owned(),
        group,
        about,
        network: None,
        visual_tokens: 36,
        right,
        mega,
        layers,
    };
    let mut all = Vec::new();
    for rung in 0..4_u16 {
        let mega = (2.23 + 3.44 * f64::from(rung), 3.2, 2.7 + 0.54);
        let right = Box::new(of_rung(rung.into()));
        all.push(ability(&format!("sa{rung}"), Group::Rung, "fixed rung", right, mega, rung));
    }
    let dense = |family: usize, d: f64| of_rung(3)(family, d) - 0.004;
    all.push(Ability {
        network: Some("dense, trained alone"),
        ..ability(
            "dense",
            Group::Baseline,
            "a stock network",
            Box::new(dense),
            (21.4, 3.2, 3.24),
            6,
        )
    });
    for (name, tokens, strength, visual) in
        [("pooled-18", 18, 0.35, 10.7), ("pooled-9", 9, 1.0, 5.4), ("downsampled-24", 9, 1.25, 5.4)]
    {
        all.push(Ability {
            network: Some("trained on fewer tokens"),
            visual_tokens: tokens,
            ..ability(
                name,
                Group::Baseline,
                "dense on fewer visual tokens",
                Box::new(pooled(3, strength)),
                (visual, 3.2, if name.starts_with('d') { 1.1 } else { 3.1 }),
                6,
            )
        });
    }
    for (pool, tokens, strength) in [(2, 18, 0.4), (4, 9, 1.1)] {
        for rung in 0..4_u16 {
            let visual = (2.23 + 3.44 * f64::from(rung)) / f64::from(pool) + 0.3;
            all.push(Ability {
                visual_tokens: tokens,
                ..ability(
                    &format!("sa{rung}/pool{pool}"),
                    Group::Baseline,
                    "a rung on pooled tokens",
                    Box::new(pooled(rung.into(), strength)),
                    (visual, 3.2, 3.2),
                    rung,
                )
            });
        }
    }
    let chance = |family: usize, _: f64| [0.17, 0.2, 0.17, 0.02, 0.2, 0.22, 0.5][family];
    for (name, about) in [
        ("blank@sa3", "the largest rung on blank pictures"),
        ("swapped-picture@sa3", "the largest rung on other questions' pictures"),
    ] {
        all.push(ability(name, Group::Control, about, Box::new(chance), (12.55, 3.2, 3.24), 3));
    }
    let patches = Box::new(pooled(3, 1.4));
    let about = "a quarter of the patches, by chance";
    all.push(ability("random-patches-9@sa3", Group::Control, about, patches, (4.1, 3.2, 3.24), 3));
    all
}

fn observations(items_a_family: usize, seed: u64) -> Observations {
    let mut draws = Draws::new(seed);
    let (items, difficulties) = items(items_a_family, &mut draws);
    let families: Vec<usize> = (0..items.len()).map(|item| item / items_a_family).collect();
    // Items differ in how hard they are for everybody, so that rows are worth pairing.
    let luck: Vec<f64> = items.iter().map(|_| draws.share()).collect();
    let text: Vec<f64> = items.iter().map(|_| 0.9 + 0.2 * draws.share()).collect();
    let mut rows: Vec<Row> = Vec::new();
    for ability in abilities() {
        let answers = (0..items.len()).map(|item| {
            let chance = if draws.share() < 0.15 { draws.share() } else { luck[item] };
            let right = chance < (ability.right)(families[item], difficulties[item]);
            let (visual, rest, encoder) = ability.mega;
            Answer {
                score: Some(f32::from(u8::from(right))),
                rung: None,
                flops: flops(visual, rest * text[item], encoder),
                self_attention_layers: ability.layers,
            }
        });
        let answers: Vec<Answer> = answers.collect();
        rows.push(row(&ability, answers, &mut draws));
    }
    let autos = [("auto@0.02", 0.02), ("auto@0.10", 0.10), ("auto@0.30", 0.30)];
    for (at, (name, thrift)) in autos.into_iter().enumerate() {
        let choices: Vec<usize> = (0..items.len())
            .map(|item| {
                let utility: Vec<f64> = (0..4)
                    .map(|rung| {
                        let right = of_rung(rung)(families[item], difficulties[item]);
                        right + 0.05 * draws.normal() - thrift * rung as f64 / 3.0
                    })
                    .collect();
                (0..4).fold(0, |best, rung| if utility[rung] > utility[best] { rung } else { best })
            })
            .collect();
        rows.insert(
            4 + at,
            routed(name, Group::Auto, "the policy chooses", &choices, &rows, &mut draws),
        );
    }
    let swapped: Vec<usize> = {
        let auto = &rows[5].answers;
        let n = auto.len();
        (0..n).map(|item| usize::from(auto[(item * 7919 + 13) % n].rung.unwrap_or(0))).collect()
    };
    let about = "the policy shown another question";
    rows.push(routed("swapped-policy", Group::Control, about, &swapped, &rows, &mut draws));
    let suite = Suite {
        name: "nano v2".to_owned(),
        split: "test".to_owned(),
        sha256: "4e07408562bedb8b".repeat(4),
    };
    Observations::new(suite, items, rows).expect("sound")
}

fn flops(visual: f64, rest: f64, encoder: f64) -> Flops {
    let whole = |mega: f64| (mega * 1e6).round() as u64;
    Flops {
        end_to_end: whole(visual + rest + encoder),
        lm_prefill: whole(visual + rest),
        vision_side: whole(visual),
        decode_step: whole(0.62 + 0.004 * visual),
    }
}

fn row(ability: &Ability, answers: Vec<Answer>, draws: &mut Draws) -> Row {
    let head = RowHead {
        name: ability.name.clone(),
        group: ability.group,
        about: ability.about.to_owned(),
        network: ability.network.map(str::to_owned),
        visual_tokens: Some(ability.visual_tokens),
    };
    let timing = timing(&answers, draws);
    Row {
        head,
        answers,
        timing,
        peak_rss_bytes: Some(16_000_000 + 40_000 * u64::from(ability.layers)),
    }
}

/// A row that answers as the rungs that it chose do.
fn routed(
    name: &str,
    group: Group,
    about: &str,
    choices: &[usize],
    rows: &[Row],
    draws: &mut Draws,
) -> Row {
    let answers: Vec<Answer> = choices
        .iter()
        .enumerate()
        .map(|(item, &rung)| {
            let mut answer = rows[rung].answers[item];
            answer.rung = Some(rung as u16);
            answer.flops.end_to_end += 40_000;
            answer
        })
        .collect();
    let head = RowHead {
        name: name.to_owned(),
        group,
        about: about.to_owned(),
        network: None,
        visual_tokens: Some(36),
    };
    let timing = timing(&answers, draws);
    Row { head, answers, timing, peak_rss_bytes: Some(16_100_000) }
}

/// Thirty requests: a constant, a time for the FLOPs, and noise that is never below.
fn timing(answers: &[Answer], draws: &mut Draws) -> Vec<TimingSample> {
    (0..30)
        .map(|round| {
            let item = (round * 37) % answers.len();
            let flops = answers[item].flops;
            let slow = 1.0 + 0.04 * draws.normal().abs();
            let nanos = |base: f64, flops: u64| ((base + flops as f64 / 20.0) * slow) as u64;
            let preprocess = nanos(180_000.0, 0);
            let encode = nanos(40_000.0, flops.end_to_end - flops.lm_prefill);
            let prefill = nanos(60_000.0, flops.lm_prefill);
            let decode = nanos(70_000.0, 2 * flops.decode_step);
            let first_token = preprocess + encode + prefill;
            TimingSample {
                item: item as u64,
                preprocess,
                encode,
                prefill,
                decode,
                first_token,
                total: first_token + decode,
            }
        })
        .collect()
}
