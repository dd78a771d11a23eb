//! `visor inspect`: what a model is and what its budgets cost, before its weights are read.

mod json;

use crate::model::ModelChoice;
use crate::output;
use crate::table::{aligned, layers};
use crate::untrained;
use anyhow::Result;
use clap::Args;
use visor::{
    CostTable, DenseMode, Flops, LevelCost, Manifest, ModelInfo, PictureSize, PolicyInfo, PolicyRef,
};

/// Show layers, budgets and what each budget costs, without reading the weights
#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    model: ModelChoice,

    /// Size of the picture in pixels [default: as the vision encoder takes it]
    #[arg(long, value_name = "WxH", value_parser = size)]
    image_size: Option<PictureSize>,

    /// Text tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    text_tokens: u32,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> Result<PictureSize, String> {
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=65_535).contains(side));
    let sides = text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?)));
    let (width, height) = sides.ok_or("expected WxH, as in 640x480, each from 1 to 65535")?;
    Ok(PictureSize { width, height })
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<()> {
        let info = ModelInfo::open(&self.model.describe()?)?;
        let side = u32::try_from(info.card().tile_side)?;
        let picture = self.image_size.unwrap_or(PictureSize { width: side, height: side });
        let (text_tokens, pictures) = (self.text_tokens as usize, [picture]);
        let costs = info.costs(text_tokens, &pictures);
        let policy = info.policy(&PolicyRef::Default)?;
        let policy = policy.as_ref().map(|policy| SeenPolicy {
            info: policy,
            overhead: info.overhead(policy, text_tokens, &pictures),
        });
        let text_tokens = self.text_tokens;
        let seen = Seen { info: &info, costs: &costs, policy, picture, text_tokens };
        output::answer(&match self.json {
            true => serde_json::to_string(&json::Report::new(&seen))?,
            false => seen.text(),
        })
    }
}

/// The policy of a model, and what it costs to ask it about one prompt.
#[derive(Clone, Copy)]
struct SeenPolicy<'a> {
    info: &'a PolicyInfo,
    overhead: Flops,
}

impl SeenPolicy<'_> {
    fn text(self) -> String {
        let Self { info: PolicyInfo { name, objective, default_thrift, .. }, overhead } = self;
        let thrift = default_thrift.map(|thrift| format!(", thrift {thrift}")).unwrap_or_default();
        format!("{name}: {objective}{thrift}, {overhead} to choose")
    }
}

/// A model with the costs of one prompt.
struct Seen<'a> {
    info: &'a ModelInfo,
    costs: &'a CostTable,
    /// The model's own, if it names one.
    policy: Option<SeenPolicy<'a>>,
    picture: PictureSize,
    text_tokens: u32,
}

impl Seen<'_> {
    /// Cross-attention layers and self-attention capable ones.
    fn layout(&self) -> [Vec<usize>; 2] {
        let layout = self.info.layout();
        [layout.cross(), layout.self_capable()].map(|set| set.iter().map(|l| l.0).collect())
    }

    fn visual_tokens(&self) -> usize {
        let (_, tokens) = self.info.visual(&[self.picture]);
        tokens
    }

    fn text(&self) -> String {
        let (card, [cross, self_capable]) = (self.info.card(), self.layout());
        let (decoder, vision) = (card.shape.decoder.n_layers, card.shape.encoder.n_layers);
        let dense = match card.dense {
            DenseMode::Available => "available",
            DenseMode::Unavailable => "not trained, counted for comparison",
        };
        let facts = [
            ("model", card.name.clone()),
            ("parameters", card.parameters.to_string()),
            ("layers", format!("{decoder} in the decoder, {vision} in the vision encoder")),
            ("cross-attention", layers(&cross)),
            ("self-attention", layers(&self_capable)),
            ("dense", dense.to_owned()),
            ("patches", self.patches()),
            ("policy", self.policy.map_or_else(|| "none".to_owned(), SeenPolicy::text)),
            ("context", format!("{} tokens", card.context)),
        ];
        let unknown = self.info.unknown_fields();
        let unknown = (!unknown.is_empty()).then(|| ("not understood", unknown.join(", ")));
        let remarks = self.info.remarks().iter().map(|remark| ("not followed", remark.to_string()));
        let facts: Vec<(&str, String)> = facts.into_iter().chain(unknown).chain(remarks).collect();
        let facts: Vec<String> =
            facts.into_iter().map(|(name, fact)| format!("{name:<15}  {fact}\n")).collect();
        let facts = facts.concat();
        let (PictureSize { width, height }, visual) = (self.picture, self.visual_tokens());
        let (text, table) = (self.text_tokens, self.table());
        format!(
            "{facts}\nA picture of {width}x{height} pixels ({visual} visual tokens) and {text} text \
             tokens:\n\n{table}"
        )
    }

    /// What cross-attention may be told to read.
    fn patches(&self) -> String {
        match self.info.card().selector {
            None => "all, there is no selector".to_owned(),
            Some(selector) => {
                let (k_min, k_max) = selector.range;
                let n = selector.n_reference;
                let flaw =
                    untrained::flaw(self.info.manifest().and_then(Manifest::selector_training));
                let flaw = flaw.map(|flaw| format!("; {flaw}")).unwrap_or_default();
                format!(
                    "a selector chooses {k_min} to {k_max} of {n} patches, or a given number{flaw}"
                )
            }
        }
    }

    fn table(&self) -> String {
        let names = ["budget", "SA layers", "end to end", "LM prefill", "vision side"];
        let names = names.into_iter().chain(["decode step", "saving", "KV bytes"]);
        let header: Vec<String> = names.map(str::to_owned).collect();
        let row = |cost: &LevelCost| {
            let (active, scopes) = (&cost.self_attention_layers, cost.scopes);
            let all = active.len() == self.info.card().shape.decoder.n_layers;
            vec![
                cost.name.clone(),
                if all { "all".to_owned() } else { layers(active) },
                scopes.end_to_end.to_string(),
                scopes.lm_prefill.to_string(),
                scopes.vision_side.to_string(),
                scopes.decode_step.to_string(),
                format!("{:.2}x", self.costs.saving(cost.level)),
                cost.kv_bytes.to_string(),
            ]
        };
        let levels = self.costs.rungs.iter().chain([&self.costs.dense]);
        aligned(&[header].into_iter().chain(levels.map(row)).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers_with_an_x_between() {
        assert_eq!(size("640x480"), Ok(PictureSize { width: 640, height: 480 }));
        for text in ["", "640", "640x", "x480", "0x480", "640x-1", "640x70000", "640*480"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
