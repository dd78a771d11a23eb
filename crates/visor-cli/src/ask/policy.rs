//! Who chooses the budget, and how much cost weighs then.

use crate::ending::Usage;
use anyhow::Result;
use clap::Args;
use visor::{BudgetRequest, PolicyRef, Thrift};

#[derive(Args, Debug)]
pub(crate) struct PolicyArgs {
    /// How much cost weighs where the policy chooses: 0 spends whatever helps, 1 hardly anything
    /// [default: the policy's own]
    #[arg(long, value_name = "X", value_parser = thrift)]
    thrift: Option<Thrift>,

    /// A folder with the policy that chooses at auto [default: the model's own]
    #[arg(long, value_name = "DIR")]
    policy: Option<String>,
}

/// A thrift as it is given on the command line.
pub(crate) fn thrift(text: &str) -> Result<Thrift, String> {
    let weight = text.parse::<f32>().ok().and_then(Thrift::new);
    weight.ok_or_else(|| "expected a number from 0 up".to_owned())
}

impl PolicyArgs {
    /// What the user asks for in place of the policy's own.
    pub(crate) fn thrift(&self) -> Option<Thrift> {
        self.thrift
    }

    /// The policy to load: none where the budget is named, whatever the model's own one is like.
    ///
    /// # Errors
    /// If there is no such policy, or it would have nothing to choose.
    pub(crate) fn find(&self, budget: Option<&BudgetRequest>) -> Result<PolicyRef> {
        match (&self.policy, budget) {
            (None, None | Some(BudgetRequest::Auto)) => Ok(PolicyRef::Default),
            (None, Some(_)) => Ok(PolicyRef::None),
            (Some(policy), None | Some(BudgetRequest::Auto)) => Ok(policy.parse()?),
            (Some(_), Some(budget)) => Err(Usage::because(format!(
                "a policy chooses the budget, and the budget is `{budget}`: ask for `auto`, or \
                 leave out --policy"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thrift_is_a_number_from_0_up() {
        assert_eq!(thrift("0.25"), Ok(Thrift::new(0.25).expect("a weight")));
        assert!(thrift("0").is_ok() && thrift("12").is_ok());
        for text in ["", "-0.1", "nan", "inf", "much"] {
            assert!(thrift(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whoever_names_a_budget_needs_no_policy() {
        let rung = BudgetRequest::Rung("sa1".to_owned());
        let none = PolicyArgs { thrift: None, policy: None };
        for (budget, policy) in [
            (None, PolicyRef::Default),
            (Some(BudgetRequest::Auto), PolicyRef::Default),
            (Some(BudgetRequest::Dense), PolicyRef::None),
            (Some(rung.clone()), PolicyRef::None),
        ] {
            assert_eq!(none.find(budget.as_ref()).expect("a policy or none"), policy);
        }
        let named = PolicyArgs { thrift: None, policy: Some("src".to_owned()) };
        assert_eq!(named.find(None).expect("a folder"), PolicyRef::Folder("src".into()));
        let error = named.find(Some(&rung)).expect_err("one too many");
        assert!(error.is::<Usage>() && error.to_string().contains("`sa1`"), "{error}");
    }
}
