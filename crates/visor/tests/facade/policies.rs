//! Questions whose budget a policy chooses.

use crate::support::*;
use std::path::PathBuf;
use tempfile::TempDir;
use visor::{
    Answer, Basis, BudgetRequest, Error, Flops, LoadOptions, Model, ModelInfo, ModelRef, Objective,
    PictureSize, PolicyRef, Question, RunError, Thrift, fixture,
};

/// A model and a policy where a repository has them: `models/tiny` and `policies/tiny-router`.
struct Home {
    root: TempDir,
}

impl Home {
    /// The model does not name its policy yet.
    fn new() -> Self {
        let home = Self { root: TempDir::new().unwrap() };
        std::fs::create_dir(home.root.path().join("models")).unwrap();
        fixture::universal(&home.model(), 1).unwrap();
        fixture::policy(&home.policy(), &home.model(), Objective::Utility, 1).unwrap();
        home
    }

    /// The model names its policy.
    fn named() -> Self {
        let home = Self::new();
        fixture::name_policy(&home.model(), Some("tiny-router")).unwrap();
        home
    }

    fn model(&self) -> PathBuf {
        self.root.path().join("models/tiny")
    }

    fn policy(&self) -> PathBuf {
        self.root.path().join("policies/tiny-router")
    }

    fn model_ref(&self) -> ModelRef {
        ModelRef::Folder(self.model())
    }

    fn load_with(&self, policy: PolicyRef) -> Result<Model, Error> {
        Model::load(&self.model_ref(), &LoadOptions::default().policy(policy))
    }

    fn load(&self) -> Model {
        self.load_with(PolicyRef::Default).unwrap()
    }

    fn refused(&self) -> String {
        chain(&self.load_with(PolicyRef::Default).unwrap_err())
    }
}

fn thrift(weight: f32) -> Thrift {
    Thrift::new(weight).unwrap()
}

fn by_name(model: &Model, answer: &Answer) -> Answer {
    model.ask(question().budget(answer.decided.name.parse().unwrap())).unwrap()
}

#[test]
fn the_policy_that_a_model_names_decides_where_nothing_is_asked_for() {
    let model = Home::named().load();
    let policy = model.policy().unwrap();
    assert_eq!((policy.name.as_str(), policy.objective), ("tiny-router", Objective::Utility));
    assert_eq!((policy.default_thrift, policy.sha256.len()), (Some(Thrift::DEFAULT), 64));
    let answer = model.ask(question()).unwrap();
    assert_eq!(answer.decided.basis, Basis::Predicted);
    let names: Vec<&str> = answer.decided.probabilities.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, fixture::RUNGS);
    assert!(answer.decided.probabilities.iter().all(|(_, p)| (0.0..=1.0).contains(p)));
    let auto = model.ask(question().budget(BudgetRequest::Auto)).unwrap();
    assert_eq!((auto.decided, auto.token_ids), (answer.decided, answer.token_ids));
}

#[test]
fn a_budget_that_was_chosen_answers_as_the_same_budget_asked_for_by_name() {
    let model = Home::named().load();
    let mut rungs = Vec::new();
    for weight in [0.0, 0.05, 0.2, 0.4, 5.0] {
        let chosen = model.ask(question().thrift(thrift(weight))).unwrap();
        let named = by_name(&model, &chosen);
        assert_eq!(chosen.token_ids, named.token_ids);
        assert_eq!(named.decided.basis, Basis::Requested);
        assert!(named.decided.probabilities.is_empty());
        // Whoever names a budget does not pay for a policy.
        assert!(chosen.cost.cold.end_to_end > named.cost.cold.end_to_end);
        assert_eq!(chosen.cost.cold.lm_prefill, named.cost.cold.lm_prefill);
        rungs.push(chosen.decided.name);
    }
    assert_eq!((rungs[0].as_str(), rungs[4].as_str()), ("sa3", "sa0"), "{rungs:?}");
    assert!(rungs.is_sorted_by(|a, b| a >= b), "more thrift chose a dearer rung: {rungs:?}");
}

#[test]
fn a_ceiling_cuts_what_the_policy_chose_and_says_so() {
    let model = Home::named().load();
    let ask = || question().thrift(thrift(0.0));
    let free = model.ask(ask()).unwrap();
    assert_eq!(free.decided.name, "sa3");
    let costs = model.prepare(ask()).unwrap().costs().clone();
    let ceiling = costs.rungs[1].scopes.end_to_end;
    let capped = model.ask(ask().ceiling(ceiling)).unwrap();
    assert_eq!(capped.decided.name, "sa1");
    let Basis::Capped { predicted } = capped.decided.basis else { panic!("{capped:?}") };
    assert_eq!(predicted.index(), 3);
    assert_eq!(capped.decided.probabilities, free.decided.probabilities);
    assert_eq!(capped.token_ids, by_name(&model, &capped).token_ids);
    // A ceiling above what is chosen cuts nothing.
    let below = model.ask(ask().thrift(thrift(5.0)).ceiling(ceiling)).unwrap();
    assert_eq!((below.decided.name.as_str(), below.decided.basis), ("sa0", Basis::Predicted));
    let error = model.ask(ask().ceiling(Flops(1))).unwrap_err().to_string();
    assert!(error.contains("`sa0` costs"), "{error}");
}

#[test]
fn pictures_and_questions_change_what_is_predicted() {
    let model = Home::named().load();
    let predicted = |question: Question| model.ask(question).unwrap().decided.probabilities;
    let other = Question::new("count red ?");
    let all = [
        predicted(question()),
        predicted(Question::new(fixture::QUESTION).picture(picture(9))),
        predicted(Question::new(fixture::QUESTION)),
        predicted(other.picture(picture(1))),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one), "{i}: {one:?}");
    }
    assert_eq!(predicted(question()), all[0]);
}

#[test]
fn a_model_at_a_fixed_budget_neither_loads_nor_runs_a_policy() {
    let home = Home::named();
    let expected = home.load().ask(question().budget("sa1".parse().unwrap())).unwrap();
    std::fs::write(home.policy().join("policy.json"), "{").unwrap();
    assert!(home.refused().contains("the policy `tiny-router` cannot be used: `policy.json`"));
    let model = home.load_with(PolicyRef::None).unwrap();
    assert!(model.policy().is_none());
    let fixed = model.ask(question().budget("sa1".parse().unwrap())).unwrap();
    assert_eq!((fixed.token_ids, fixed.cost.cold), (expected.token_ids, expected.cost.cold));
    let default = model.ask(question()).unwrap();
    assert_eq!((default.decided.name.as_str(), default.decided.basis), ("sa3", Basis::Default));
    let error = model.ask(question().budget(BudgetRequest::Auto)).unwrap_err().to_string();
    assert!(error.contains("`auto` needs a policy"), "{error}");
}

#[test]
fn a_policy_is_looked_for_beside_the_models_and_then_inside_the_model() {
    let home = Home::named();
    let inside = home.model().join("tiny-router");
    fixture::policy(&inside, &home.model(), Objective::CheapestRight, 2).unwrap();
    assert_eq!(home.load().policy().unwrap().objective, Objective::Utility);
    std::fs::remove_dir_all(home.policy()).unwrap();
    assert_eq!(home.load().policy().unwrap().objective, Objective::CheapestRight);
    std::fs::remove_dir_all(&inside).unwrap();
    let error = home.refused();
    assert!(error.contains("names the policy `tiny-router`, which is neither at `"), "{error}");
    assert!(error.contains("policies/tiny-router`") && error.contains("nor shipped"), "{error}");
    fixture::name_policy(&home.model(), None).unwrap();
    assert!(home.load().policy().is_none());
}

#[test]
fn a_policy_in_any_folder_is_used_by_its_path() {
    let home = Home::new();
    assert!(home.load().policy().is_none());
    let text = home.policy().display().to_string();
    let policy: PolicyRef = text.parse().unwrap();
    assert_eq!(policy, PolicyRef::Folder(home.policy()));
    let model = home.load_with(policy).unwrap();
    assert_eq!(model.policy().unwrap().name, "tiny-router");
    assert_eq!(model.ask(question()).unwrap().decided.basis, Basis::Predicted);
    let error = "nowhere".parse::<PolicyRef>().unwrap_err().to_string();
    assert!(error.contains("there is no policy `nowhere`: expected a folder"), "{error}");
}

#[test]
fn the_default_policys_name_is_in_no_digest() {
    let home = Home::new();
    let digest = home.load().card().sha256.clone();
    fixture::name_policy(&home.model(), Some("tiny-router")).unwrap();
    let model = home.load();
    assert_eq!(model.card().sha256, digest);
    assert!(model.policy().is_some());
}

#[test]
fn a_policy_for_another_model_is_an_error_that_says_what_differs() {
    let home = Home::named();
    // Other weights: the sizes and the ladder fit.
    let other = home.root.path().join("models/other");
    fixture::universal(&other, 2).unwrap();
    fixture::policy(&home.policy(), &other, Objective::Utility, 1).unwrap();
    let error = home.refused();
    assert!(error.contains("trained for the backbone"), "{error}");
    assert!(
        error.contains(home.load_with(PolicyRef::None).unwrap().card().sha256.as_ref().unwrap())
    );
    // A stock model has nothing to choose.
    let stock = home.root.path().join("models/stock");
    fixture::stock(&stock, 1).unwrap();
    let options = LoadOptions::default().policy(PolicyRef::Folder(home.policy()));
    let error = chain(&Model::load(&ModelRef::Folder(stock), &options).unwrap_err());
    assert!(error.contains("`stock` has no ladder"), "{error}");
}

#[test]
fn thrift_that_nothing_would_weigh_is_an_error() {
    let home = Home::named();
    let model = home.load();
    let ask = |question: Question| model.ask(question.thrift(Thrift::DEFAULT));
    for budget in ["sa1", "dense"] {
        let error = ask(question().budget(budget.parse().unwrap())).unwrap_err();
        assert!(matches!(error, Error::ThriftBesideBudget { .. }), "{error}");
        assert!(error.to_string().contains(&format!("`{budget}`: ask for `auto`")), "{error}");
    }
    let error = ask(question().budget(BudgetRequest::AtMost(Flops(1 << 40)))).unwrap_err();
    assert!(matches!(error, Error::ThriftBesideBudget { .. }), "{error}");
    assert!(ask(question().budget(BudgetRequest::Auto)).is_ok());

    let model = home.load_with(PolicyRef::None).unwrap();
    let error = model.ask(question().thrift(Thrift::DEFAULT)).unwrap_err();
    assert!(matches!(error, Error::ThriftWithoutPolicy), "{error}");
    let auto = question().thrift(Thrift::DEFAULT).budget(BudgetRequest::Auto);
    let error = model.ask(auto).unwrap_err();
    assert!(matches!(error, Error::Run(RunError::Budget(_))), "{error}");

    fixture::policy(&home.policy(), &home.model(), Objective::CheapestRight, 1).unwrap();
    let model = home.load();
    assert_eq!(model.ask(question()).unwrap().decided.basis, Basis::Predicted);
    let error = model.ask(question().thrift(Thrift::DEFAULT)).unwrap_err().to_string();
    assert!(error.contains("trained for `cheapest-right` and does not weigh cost"), "{error}");
}

#[test]
fn a_policy_is_inspected_without_weights_and_costs_what_is_said() {
    let home = Home::named();
    let model = home.load();
    std::fs::remove_file(home.policy().join("policy.safetensors")).unwrap();
    let info = ModelInfo::open(&home.model_ref()).unwrap();
    let policy = info.policy(&PolicyRef::Default).unwrap().unwrap();
    assert_eq!(Some(&policy), model.policy());
    assert_eq!(info.policy(&PolicyRef::None).unwrap(), None);
    let auto = model.ask(question()).unwrap();
    let named = by_name(&model, &auto);
    // Five words and the token that asks for the answer.
    let size = PictureSize { width: 20, height: 16 };
    let overhead = info.overhead(&policy, 6, &[size]);
    let difference = auto.cost.cold.end_to_end - named.cost.cold.end_to_end;
    assert_eq!(overhead, difference);
    std::fs::remove_file(home.policy().join("policy.json")).unwrap();
    let error = chain(&info.policy(&PolicyRef::Default).unwrap_err());
    assert!(error.contains("has no `policy.json`"), "{error}");
}

#[test]
fn every_shipped_model_has_the_policy_that_it_names() {
    for name in visor::shipped_models() {
        let model_ref = ModelRef::Shipped(name);
        let info = ModelInfo::open(&model_ref).unwrap();
        let named = info.card().default_policy.clone();
        let model = Model::load(&model_ref, &LoadOptions::default()).unwrap();
        assert_eq!(model.policy().map(|policy| policy.name.clone()), named);
        if named.is_some() {
            let answer = model.ask(Question::new("count red ?").picture(picture(1))).unwrap();
            assert_eq!(answer.decided.basis, Basis::Predicted);
        }
    }
    for name in visor::shipped_policies() {
        assert_eq!(name.parse(), Ok(PolicyRef::Shipped(name)));
    }
}
