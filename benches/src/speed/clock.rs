//! What time is measured by.

use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The time that a user waits.
    #[default]
    Wall,
    /// The time that processors have worked for the program: what is left to go by on a machine that
    /// others work on. It says nothing of several threads, which also wait for each other.
    Cpu,
}

/// No clock has this name.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("no clock is called `{got}`: expected wall or cpu")]
pub struct UnknownClock {
    /// What was asked for.
    pub got: String,
}

impl Clock {
    /// Time since some moment.
    fn now(self) -> Duration {
        let id = match self {
            Self::Wall => ClockId::Monotonic,
            Self::Cpu => ClockId::ProcessCPUTime,
        };
        let time = clock_gettime(id);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    /// The seconds that some work takes.
    pub fn seconds(self, work: impl FnOnce()) -> f64 {
        let start = self.now();
        work();
        self.now().saturating_sub(start).as_secs_f64()
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wall => "wall",
            Self::Cpu => "cpu",
        })
    }
}

impl FromStr for Clock {
    type Err = UnknownClock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "wall" => Ok(Self::Wall),
            "cpu" => Ok(Self::Cpu),
            _ => Err(UnknownClock { got: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_does_not_work_while_it_sleeps() {
        let nap = Duration::from_millis(50);
        let wall = Clock::Wall.seconds(|| std::thread::sleep(nap));
        assert!(wall >= 0.05, "{wall}");
        for clock in [Clock::Wall, Clock::Cpu] {
            assert_eq!(clock.to_string().parse(), Ok(clock));
        }
    }
}
