//! Lowering a budget that nobody asked for by name.

use crate::budget::{Level, Resolved};
use crate::request::Prepared;
use crate::runner::Runner;
use visor_core::{Basis, RungId};

impl<M> Runner<M> {
    /// The same request at most at `highest`, where its budget was left open: to the policy, to a
    /// ceiling or to the default. A budget that was asked for by name, and one that is no rung,
    /// stays as it is.
    #[must_use]
    pub fn lowered(&self, prepared: Prepared, highest: RungId) -> Prepared {
        let resolved = match prepared.resolved {
            Resolved::ByPolicy { highest: allowed } => {
                Resolved::ByPolicy { highest: allowed.min(highest) }
            }
            Resolved::Decided { level: Level::Rung(from), basis }
                if from > highest && basis != Basis::Requested =>
            {
                let basis = Basis::Lowered { from };
                Resolved::Decided { level: Level::Rung(highest), basis }
            }
            unchanged @ Resolved::Decided { .. } => unchanged,
        };
        Prepared { resolved, ..prepared }
    }
}
