//! What an answer was given at, and what it took, in one line for people.

use visor::{Answer, Basis, Model, Objective, PolicyInfo, RungId, Thrift, Trust};

/// The line. `thrift` is what the user asked for.
pub(crate) fn of(answer: &Answer, model: &Model, thrift: Option<Thrift>) -> String {
    let trust = match model.load_report().verified.trust {
        Trust::Hashed => "weights checked by their hash",
        Trust::Stamped => "weights unchanged since they were hashed",
        Trust::Unrecorded => "weights without a recorded hash",
    };
    let read = match &answer.selection {
        Some(selection) => {
            format!(", reading {} of {} patches", selection.patches.len(), answer.visual_tokens)
        }
        None => String::new(),
    };
    format!(
        "{} ({}){read}: {} before the first token, saving {:.2}x over dense; {:.0} ms; {trust}",
        answer.decided.name,
        basis(answer, model, thrift),
        answer.cost.cold.end_to_end,
        answer.cost.saving(),
        answer.timing.total.as_secs_f64() * 1e3,
    )
}

/// Why the budget is what it is.
fn basis(answer: &Answer, model: &Model, thrift: Option<Thrift>) -> String {
    let basis = answer.decided.basis;
    let Some(policy) = model.policy() else { return basis.word().to_owned() };
    let predicted = predicted(policy, &answer.decided.probabilities, thrift);
    match basis {
        Basis::Predicted => format!("chosen by {predicted}"),
        Basis::Capped { predicted: wanted } => {
            let wanted = rung(model, wanted);
            format!("capped: {wanted} is above the ceiling and was chosen by {predicted}")
        }
        _ => basis.word().to_owned(),
    }
}

fn rung(model: &Model, id: RungId) -> String {
    let ladder = model.card().ladder.as_ref();
    ladder.map(|ladder| ladder.rung(id).name().to_owned()).unwrap_or_default()
}

/// Who, how thriftily, and by which predictions.
fn predicted(policy: &PolicyInfo, all: &[(String, f32)], thrift: Option<Thrift>) -> String {
    let percent = |(rung, p): &(String, f32)| format!("{rung} {:.0} %", 100.0 * p);
    let all = all.iter().map(percent).collect::<Vec<_>>().join(", ");
    let of = match policy.objective {
        Objective::Utility => "right",
        Objective::CheapestRight => "cheapest right one",
    };
    let thrift = match thrift.or(policy.default_thrift) {
        Some(thrift) => format!(" at thrift {thrift}"),
        None => String::new(),
    };
    format!("{}{thrift}; {of}: {all}", policy.name)
}
