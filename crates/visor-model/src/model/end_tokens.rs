//! Which tokens end an answer, from `generation_config.json` or else `config.json`.

use crate::error::ModelError;
use serde::Deserialize;
use visor_checkpoint::{Checkpoint, CheckpointError, files};

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Several(Vec<u32>),
}

#[derive(Deserialize, Default)]
struct RawEnds {
    eos_token_id: Option<Ids>,
    #[serde(default)]
    text_config: RawTextEnds,
}

#[derive(Deserialize, Default)]
struct RawTextEnds {
    eos_token_id: Option<Ids>,
}

impl From<Ids> for Vec<u32> {
    fn from(ids: Ids) -> Self {
        match ids {
            Ids::One(id) => vec![id],
            Ids::Several(ids) => ids,
        }
    }
}

/// The ids that end an answer; none where the files name none.
pub(crate) fn end_tokens(checkpoint: &Checkpoint) -> Result<Vec<u32>, ModelError> {
    if let Some(json) = checkpoint.generation_config()?
        && let Some(ids) = parse(files::GENERATION_CONFIG, &json)?
    {
        return Ok(ids);
    }
    Ok(parse(files::CONFIG, checkpoint.config_json())?.unwrap_or_default())
}

fn parse(file: &str, json: &[u8]) -> Result<Option<Vec<u32>>, CheckpointError> {
    let raw: RawEnds = serde_json::from_slice(json)
        .map_err(|source| CheckpointError::Json { file: file.to_owned(), source })?;
    Ok(raw.eos_token_id.or(raw.text_config.eos_token_id).map(Vec::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_one_id_or_several_and_may_stand_with_the_text_model() {
        let ends = |json: &str| parse("x.json", json.as_bytes()).expect("read");
        assert_eq!(ends(r#"{"eos_token_id": 4}"#), Some(vec![4]));
        assert_eq!(ends(r#"{"eos_token_id": [4, 7], "other": null}"#), Some(vec![4, 7]));
        assert_eq!(ends(r#"{"text_config": {"eos_token_id": 2}}"#), Some(vec![2]));
        assert_eq!(ends(r#"{"eos_token_id": null}"#), None);
        assert!(parse("x.json", br#"{"eos_token_id": "no"}"#).is_err());
    }
}
