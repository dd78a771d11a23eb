//! `/v1/models`: each model, and each budget of it as a model of its own.

use super::door::Caller;
use super::respond;
use super::state::{Served, Shared};
use crate::error::ApiError;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use serde_json::{Value, json};
use std::sync::Arc;
use visor::{DenseMode, Ladder};

/// All of them.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Response<Body> {
    match shared.served() {
        Some(served) => {
            let all: Vec<Value> = served.iter().flat_map(entries).collect();
            respond::json(200, &json!({"object": "list", "data": all}))
        }
        None => respond::error(&ApiError::loading(), &caller.id),
    }
}

/// One of them.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Response<Body> {
    let Some(served) = shared.served() else {
        return respond::error(&ApiError::loading(), &caller.id);
    };
    let found = served.iter().flat_map(entries).find(|entry| entry["id"] == name.as_str());
    match found {
        Some(entry) => respond::json(200, &entry),
        None => {
            let error = ApiError::new(404, "model_not_found", "there is no such model");
            respond::error(&error, &caller.id)
        }
    }
}

/// A model and its budgets.
fn entries(served: &Served) -> Vec<Value> {
    let card = served.model.card();
    let rungs = card.ladder.iter().flat_map(Ladder::rungs).map(|rung| rung.name());
    let dense = (card.dense == DenseMode::Available).then_some("dense");
    let auto = served.model.policy().map(|_| "auto");
    let budgets: Vec<&str> = rungs.chain(dense).chain(auto).collect();
    let entry = |id: String, budget: Option<&str>| {
        json!({
            "id": id, "object": "model", "created": 0, "owned_by": "visor",
            "visor": {
                "model": served.name,
                "budget": budget,
                "budgets": budgets,
                "context": card.context,
                "parameters": card.parameters,
                "sha256": card.sha256,
            },
        })
    };
    let whole = entry(served.name.clone(), None);
    let each =
        budgets.iter().map(|budget| entry(format!("{}@{budget}", served.name), Some(budget)));
    std::iter::once(whole).chain(each).collect()
}
