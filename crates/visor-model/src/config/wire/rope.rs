//! The fields of rotary positions, as `convert_rope_params_to_dict` and `standardize_rope_params` of
//! `transformers` read them (`modeling_rope_utils.py`): `rope_scaling` takes the place of
//! `rope_parameters`, `type` is the older name of `rope_type`, and the base within counts more than
//! the one beside.

use super::fields::only;
use crate::config::ConfigError;
use serde::Deserialize;

/// Where no base is given.
const DEFAULT_BASE: f64 = 10000.0;

#[derive(Deserialize, Default, PartialEq)]
#[serde(default)]
pub(super) struct RawRope {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    r#type: Option<String>,
}

impl RawRope {
    fn only_default(&self, field: &'static str) -> Result<(), ConfigError> {
        let kind = self.rope_type.as_deref().or(self.r#type.as_deref());
        only(field, kind.unwrap_or("default"), "default")
    }
}

/// The base of the wavelengths, of which nothing may be scaled.
pub(super) fn base(
    beside: Option<f64>,
    parameters: Option<&RawRope>,
    scaling: Option<&RawRope>,
) -> Result<f64, ConfigError> {
    // Nothing in it is as good as none.
    let scaling = scaling.filter(|scaling| **scaling != RawRope::default());
    if let Some(scaling) = scaling {
        scaling.only_default("text_config.rope_scaling.rope_type")?;
    }
    if let Some(parameters) = parameters {
        parameters.only_default("text_config.rope_parameters.rope_type")?;
    }
    let within = scaling.or(parameters).and_then(|rope| rope.rope_theta);
    Ok(within.or(beside).unwrap_or(DEFAULT_BASE))
}
