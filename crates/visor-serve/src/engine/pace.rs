//! How fast requests end, and so when there should be room for more.

use std::time::{Duration, Instant};

/// Never asked to come back later than this.
const MAX_RETRY: Duration = Duration::from_secs(60);
/// How much a new measurement of the time between two ends weighs.
const NEW: f64 = 0.1;

/// How long there is between the ends of two requests while there is something to do.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last end, or when there was something to do again.
    since: Option<Instant>,
    /// In seconds.
    between: f64,
}

impl Pace {
    /// There is something to do where nothing was: the time before tells nothing.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// A request has ended.
    pub(super) fn end(&mut self, now: Instant) {
        if let Some(before) = self.since.replace(now) {
            self.between += NEW * ((now - before).as_secs_f64() - self.between);
        }
    }

    /// When so many requests should have ended, in whole seconds.
    pub(super) fn room_behind(&self, waiting: usize) -> Duration {
        let seconds = (self.between * waiting as f64).clamp(1.0, MAX_RETRY.as_secs_f64());
        Duration::from_secs_f64(seconds.ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_with_nothing_to_do_does_not_count() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for night in 0..20 {
            let morning = night * 10_000;
            pace.begin(at(morning));
            pace.end(at(morning + 1));
            pace.end(at(morning + 2));
        }
        assert_eq!(pace.room_behind(10), Duration::from_secs(10));
        assert_eq!(pace.room_behind(1000), MAX_RETRY);
        assert_eq!(Pace::default().room_behind(1000), Duration::from_secs(1));
    }
}
