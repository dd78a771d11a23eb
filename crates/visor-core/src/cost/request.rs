//! The cost of a whole request, in the four scopes that reports use.

use super::{
    ConnectorShape, Decode, DecoderShape, EncoderShape, Flops, PolicyShape, SelectorShape,
};
use crate::{LayerMode, Schedule};

/// Sizes of a whole model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// The vision encoder.
    pub encoder: EncoderShape,
    /// The connector.
    pub connector: ConnectorShape,
    /// The decoder.
    pub decoder: DecoderShape,
}

/// Sizes of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Text tokens, without the routing token.
    pub n_text: usize,
    /// Those of the question among them: what a selector reads.
    pub n_question: usize,
    /// Visual tokens.
    pub n_visual: usize,
    /// Tiles that the encoder runs on.
    pub n_tiles: usize,
    /// What cross-attention reads of them.
    pub keys: Keys,
}

/// What cross-attention reads of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Every visual token.
    All,
    /// Some visual tokens.
    Selected {
        /// How many.
        n_keys: usize,
        /// The layer from which on they are read; those before it read every visual token.
        from: usize,
        /// Sizes of the selector that chooses; `None` where nothing computes the choice.
        selector: Option<SelectorShape>,
    },
}

/// How many visual tokens cross-attention reads, layer by layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    before: usize,
    from: usize,
    behind: usize,
}

impl Looks {
    /// As many in every layer.
    pub fn alike(n_keys: usize) -> Self {
        Self { before: n_keys, from: 0, behind: n_keys }
    }

    /// How many a cross-attention layer reads.
    pub fn at(self, layer: usize) -> usize {
        if layer < self.from { self.before } else { self.behind }
    }
}

impl Prompt {
    /// Visual tokens that cross-attention reads once a choice is made.
    pub fn n_keys(&self) -> usize {
        match self.keys {
            Keys::All => self.n_visual,
            Keys::Selected { n_keys, .. } => n_keys,
        }
    }

    /// Visual tokens that each cross-attention layer reads.
    pub fn looks(&self) -> Looks {
        match self.keys {
            Keys::All => Looks::alike(self.n_visual),
            Keys::Selected { n_keys, from, .. } => {
                Looks { before: self.n_visual, from, behind: n_keys }
            }
        }
    }

    /// What choosing them costs.
    pub fn selection(&self) -> Flops {
        match self.keys {
            Keys::All => Flops(0),
            Keys::Selected { selector, .. } => selector
                .map_or(Flops(0), |selector| selector.choice(self.n_question, self.n_visual)),
        }
    }
}

/// FLOPs of one request in the four scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes {
    /// What the decoder spends because of the picture: its prefill less the same prefill on text
    /// alone.
    pub vision_side: Flops,
    /// The decoder's prefill: all layers, the conditional position, the head once.
    pub lm_prefill: Flops,
    /// The same with encoder, connector, selector and policy: what stands before the first token.
    pub end_to_end: Flops,
    /// One decode step right after the prompt.
    pub decode_step: Flops,
}

/// Bytes of the cached keys and values after prefill.
pub type Kv = u64;

impl ModelShape {
    /// Encoder and connector on pictures of so many tiles together. How many visual tokens become
    /// of them does not matter: what is padding, and what is shrunk, has been encoded before.
    pub fn vision(&self, n_tiles: usize) -> Flops {
        (self.encoder.tile() + self.connector.tile(self.encoder.n_patches)) * n_tiles
    }

    /// Counts a request on `schedule`; `policy` where one is asked at `decision_layer`.
    ///
    /// The dense reference has no conditional position: a schedule without cross-attention is
    /// counted without it.
    pub fn scopes(
        &self,
        schedule: &Schedule,
        prompt: Prompt,
        policy: Option<(PolicyShape, usize)>,
    ) -> Scopes {
        let Prompt { n_text, n_visual, n_tiles, .. } = prompt;
        let looks = prompt.looks();
        let decoder = &self.decoder;
        let blind = Schedule::blind(decoder.n_layers);
        let blind = decoder.prefill(&blind, n_text, 0, Looks::alike(0));
        let position = match schedule.count(LayerMode::CrossAttention) {
            0 => Flops(0),
            _ => decoder.conditional_position(n_visual),
        };
        let layers = decoder.prefill(schedule, n_text, n_visual, looks) + position;
        let lm_prefill = layers + decoder.head();
        let routing = policy.map_or(Flops(0), |(shape, decision_layer)| {
            shape.decision() + routing_row(decoder, schedule, prompt, decision_layer)
        });
        // Nothing reads a selection where no layer cross-attends, so none is made.
        let selection = match schedule.count(LayerMode::CrossAttention) {
            0 => Flops(0),
            _ => prompt.selection(),
        };
        let at = Decode { context: n_text + 1, n_visual, looks };
        Scopes {
            vision_side: layers - blind,
            lm_prefill,
            end_to_end: self.vision(n_tiles) + lm_prefill + selection + routing,
            decode_step: decoder.decode_step(schedule, at),
        }
    }
}

/// The routing token's row through the layers before the decision: a query that reads what stands
/// before it. It has no key and no value, so that it costs no other row anything.
fn routing_row(
    decoder: &DecoderShape,
    schedule: &Schedule,
    prompt: Prompt,
    decision_layer: usize,
) -> Flops {
    let Prompt { n_text, n_visual, .. } = prompt;
    let row = |(layer, &mode): (usize, &LayerMode)| match mode {
        LayerMode::TextOnly => decoder.query_row(n_text),
        LayerMode::CrossAttention => {
            let read = prompt.looks().at(layer) + 1;
            decoder.query_row(n_text) + decoder.cross_queries(1) + decoder.attention(1, read)
        }
        LayerMode::SelfAttention => decoder.query_row(n_text + n_visual),
    };
    schedule.modes().iter().enumerate().take(decision_layer).map(row).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::CrossShape;
    use crate::{Ladder, Layout, Padding};
    use proptest::prelude::*;

    fn model() -> ModelShape {
        ModelShape {
            encoder: EncoderShape {
                n_layers: 1,
                d_model: 64,
                d_ffn: 192,
                n_patches: 36,
                patch_values: 192,
                n_attended: 1,
            },
            connector: ConnectorShape::Mlp { d_vision: 64, d_hidden: 128, d_model: 64 },
            decoder: DecoderShape {
                n_layers: 7,
                d_model: 64,
                n_heads: 4,
                n_kv_heads: 2,
                head_dim: 16,
                d_ffn: 192,
                vocab: 80,
                cross: Some(CrossShape { n_kv_heads: 2 }),
            },
        }
    }

    fn ladder() -> Ladder {
        let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).expect("a layout");
        let rungs = [
            ("sa0".to_owned(), vec![]),
            ("sa1".to_owned(), vec![3]),
            ("sa2".to_owned(), vec![2, 5]),
            ("sa3".to_owned(), vec![2, 3, 5]),
        ];
        Ladder::try_new(layout, 2, &rungs).expect("a ladder")
    }

    fn prompt_of(n_text: usize) -> Prompt {
        Prompt { n_text, n_question: n_text, n_visual: 36, n_tiles: 1, keys: Keys::All }
    }

    #[test]
    fn a_prefill_worked_by_hand_matches_the_formula() {
        // d 64, d_q 64, d_kv 32, m 192, 10 text tokens, 36 visual tokens:
        // proj(10) = 2*10*64*192, attn(10,10) = 4*100*64, ffn(10) = 6*10*64*192.
        let text = 245_760 + 25_600 + 737_280;
        let joint = 2 * 46 * 64 * 192 + 4 * 46 * 46 * 64 + 6 * 46 * 64 * 192;
        let add_on = 4 * 10 * 64 * 64 + 4 * 36 * 64 * 32 + 4 * 10 * 37 * 64;
        let expected = 5 * text + 2 * joint + 3 * add_on;
        let ladder = ladder();
        let schedule = ladder.schedule(ladder.by_name("sa2").expect("a rung"));
        assert_eq!(model().decoder.prefill(&schedule, 10, 36, Looks::alike(36)), Flops(expected));
    }

    #[test]
    fn the_policy_of_nano_costs_less_than_a_fiftieth_of_its_cheapest_prefill() {
        let nano = ModelShape {
            encoder: EncoderShape { n_layers: 0, d_ffn: 128, ..model().encoder },
            connector: ConnectorShape::Mlp { d_vision: 64, d_hidden: 256, d_model: 64 },
            decoder: DecoderShape {
                n_kv_heads: 4,
                d_ffn: 128,
                vocab: 54,
                cross: Some(CrossShape { n_kv_heads: 4 }),
                ..model().decoder
            },
        };
        let (ladder, policy) = (ladder(), PolicyShape { d_input: 128, d_hidden: 16, n_rungs: 4 });
        let schedule = ladder.schedule(ladder.cheapest());
        let prompt = prompt_of(5);
        let cost = |policy| nano.scopes(&schedule, prompt, policy).end_to_end;
        let overhead = cost(Some((policy, ladder.decision_layer().0))) - cost(None);
        assert!(overhead * 50 < cost(None), "{overhead} of {}", cost(None));
    }

    #[test]
    fn a_choice_worked_by_hand_matches_the_formula() {
        // d 64, d_s 16, two pools, inner width 16, 5 words, 36 patches: saliences and pools twice
        // 2*5*64*2, two maps in and out, two queries, 36 keys, 2 x 36 scores, the count's head.
        let question = 2 * (2 * 5 * 64 * 2) + 2 * (2 * 64 * 16) * 2 + 2 * (2 * 64 * 16);
        let picture = 36 * 2 * 64 * 16 + 2 * 2 * 16 * 36;
        let count = 2 * (64 + 3) * 16 + 2 * 16;
        let selector = SelectorShape { d_model: 64, d_select: 16, n_pools: 2, d_hidden: 16 };
        assert_eq!(selector.choice(5, 36), Flops(question + picture + count));
    }

    #[test]
    fn a_routing_row_worked_by_hand_matches_the_formula() {
        // d 64, d_q 64, m 192, 10 text tokens, 36 visual tokens, a text-only layer and one that
        // reads: q and o twice, attention to 10 keys twice, the SwiGLU twice, cross-attention's
        // own q and o, its attention to 36 patches and the null key.
        let row = 4 * 64 * 64 + 4 * 10 * 64 + 6 * 64 * 192;
        let add_on = 4 * 64 * 64 + 4 * 37 * 64;
        let ladder = ladder();
        let schedule = ladder.schedule(ladder.cheapest());
        let prompt = prompt_of(10);
        assert_eq!(routing_row(&model().decoder, &schedule, prompt, 2), Flops(2 * row + add_on));
    }

    fn prompt() -> impl Strategy<Value = Prompt> {
        (1_usize..200, 1_usize..600, 1_usize..5).prop_flat_map(|(n_text, n_visual, n_tiles)| {
            let selector = SelectorShape { d_model: 64, d_select: 16, n_pools: 2, d_hidden: 16 };
            let selected = (1..=n_visual, 0_usize..8, prop::option::of(Just(selector))).prop_map(
                move |(n_keys, from, selector)| Keys::Selected { n_keys, from, selector },
            );
            let keys = prop_oneof![Just(Keys::All), selected];
            (keys, 1..=n_text).prop_map(move |(keys, n_question)| Prompt {
                n_text,
                n_question,
                n_visual,
                n_tiles,
                keys,
            })
        })
    }

    proptest! {
        #[test]
        fn prefill_is_the_sum_of_its_layers(prompt in prompt(), rung in 0_usize..4) {
            let (model, ladder) = (model(), ladder());
            let schedule = ladder.schedule(ladder.ids().nth(rung).expect("a rung"));
            let (Prompt { n_text, n_visual, .. }, looks) = (prompt, prompt.looks());
            let modes = schedule.modes().iter().enumerate();
            let one_by_one: Flops = modes
                .map(|(i, &mode)| {
                    model.decoder.prefill_layer(mode, n_text, n_visual, looks.at(i))
                })
                .sum();
            prop_assert_eq!(model.decoder.prefill(&schedule, n_text, n_visual, looks), one_by_one);
        }

        #[test]
        fn a_higher_rung_costs_more_in_every_scope(prompt in prompt()) {
            let (model, ladder) = (model(), ladder());
            let costs: Vec<Scopes> = ladder
                .ids()
                .map(|rung| model.scopes(&ladder.schedule(rung), prompt, None))
                .collect();
            for pair in costs.windows(2) {
                // One dearer layer of self-attention replaces text-only layers, never a look.
                prop_assert!(pair[0].vision_side < pair[1].vision_side);
                prop_assert!(pair[0].lm_prefill < pair[1].lm_prefill);
                prop_assert!(pair[0].end_to_end < pair[1].end_to_end);
                prop_assert!(pair[0].decode_step < pair[1].decode_step);
            }
        }

        #[test]
        fn cost_grows_with_text_pictures_and_keys(prompt in prompt(), more in 1_usize..50) {
            let (model, ladder) = (model(), ladder());
            for rung in ladder.ids() {
                let schedule = ladder.schedule(rung);
                let cost = |p: Prompt| model.scopes(&schedule, p, None).end_to_end;
                let base = cost(prompt);
                for longer in [
                    Prompt { n_text: prompt.n_text + more, ..prompt },
                    Prompt { n_visual: prompt.n_visual + more, ..prompt },
                    Prompt { n_tiles: prompt.n_tiles + more, ..prompt },
                ] {
                    prop_assert!(cost(longer) > base);
                }
                if let Keys::Selected { n_keys, from, selector } = prompt.keys {
                    let keys = Keys::Selected { n_keys: n_keys + more, from, selector };
                    let read = schedule.modes()[from.min(7)..].contains(&LayerMode::CrossAttention);
                    prop_assert_eq!(cost(Prompt { keys, ..prompt }) > base, read);
                }
            }
        }

        #[test]
        fn a_policy_adds_its_head_and_one_row_before_the_decision(prompt in prompt()) {
            let (model, ladder) = (model(), ladder());
            let policy = PolicyShape { d_input: 128, d_hidden: 16, n_rungs: 4 };
            let schedule = ladder.schedule(ladder.cheapest());
            let without = model.scopes(&schedule, prompt, None);
            let with = model.scopes(&schedule, prompt, Some((policy, 2)));
            prop_assert_eq!(with.lm_prefill, without.lm_prefill);
            prop_assert!(with.end_to_end > without.end_to_end + policy.decision());
        }

        #[test]
        fn a_selection_costs_what_its_sizes_say_and_spares_keys_and_scores(prompt in prompt()) {
            let (model, ladder) = (model(), ladder());
            let schedule = ladder.schedule(ladder.cheapest());
            let whole = model.scopes(&schedule, Prompt { keys: Keys::All, ..prompt }, None);
            let chosen = model.scopes(&schedule, prompt, None);
            let left_out = prompt.n_visual - prompt.n_keys();
            let layers = schedule.modes().iter().enumerate();
            let looks = layers
                .filter(|(i, mode)| {
                    **mode == LayerMode::CrossAttention && prompt.looks().at(*i) < prompt.n_visual
                })
                .count();
            let spared = model.decoder.cross_keys(left_out)
                + model.decoder.attention(prompt.n_text, left_out);
            prop_assert_eq!(chosen.lm_prefill + spared * looks, whole.lm_prefill);
            prop_assert_eq!(
                chosen.end_to_end + spared * looks,
                whole.end_to_end + prompt.selection()
            );
            let dense = Schedule::dense(7);
            let unread = Prompt { keys: Keys::All, ..prompt };
            prop_assert_eq!(model.scopes(&dense, prompt, None), model.scopes(&dense, unread, None));
        }

        #[test]
        fn key_and_value_bytes_follow_the_layers_that_hold_them(prompt in prompt()) {
            let (decoder, ladder) = (model().decoder, ladder());
            let (Prompt { n_text, n_visual, .. }, looks) = (prompt, prompt.looks());
            let bytes = |s: &Schedule| {
                decoder.kv_bytes(s, n_text, n_visual, looks, 4, Padding::None)
            };
            let dense = Schedule::dense(7);
            prop_assert_eq!(bytes(&dense), (2 * 4 * 32 * 7 * (n_text + n_visual)) as u64);
            for pair in ladder.ids().collect::<Vec<_>>().windows(2) {
                let (low, high) = (ladder.schedule(pair[0]), ladder.schedule(pair[1]));
                prop_assert!(bytes(&low) < bytes(&high));
                let padded = decoder.kv_bytes(&low, n_text, n_visual, looks, 4, Padding::Steps);
                prop_assert!(bytes(&low) < padded && padded < 5 * bytes(&low));
            }
        }
    }
}
