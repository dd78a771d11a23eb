//! Something of which there is only so much, given to clients in turn.

use super::Client;
use super::queue::FairQueue;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// So much of something, bytes of memory or places at work, and those who wait for a part of it.
/// Clients are served in turn, each in his own order; a large part for which there is no room yet
/// holds back what comes behind it, so that it is not waited for in vain.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    whole: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: u64,
    waiting: FairQueue<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    amount: u64,
    granted: Sender<Share>,
}

/// A part of what a [`Gate`] gives; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    gate: Gate,
    amount: u64,
}

/// Why a part is not even waited for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GateError {
    /// There is not as much in all.
    #[error("{asked} were asked for, and there are {whole} in all")]
    TooMuch {
        /// What was asked for.
        asked: u64,
        /// What there is when nobody has any.
        whole: u64,
    },
    /// Too many wait already.
    #[error("{waiting} wait already")]
    Full {
        /// Those who wait.
        waiting: usize,
    },
}

impl Gate {
    /// So much in all, and so many who may wait for it.
    pub fn new(whole: u64, waiting: usize) -> Self {
        let state = State { free: whole, waiting: FairQueue::new(waiting) };
        Self(Arc::new(Inner { whole, state: Mutex::new(state) }))
    }

    /// Waits for a part. Whoever stops waiting gives up his place.
    ///
    /// # Errors
    /// If there is not as much in all, or too many wait already.
    pub async fn pass(&self, client: Client, amount: u64) -> Result<Share, GateError> {
        let whole = self.0.whole;
        if amount > whole {
            return Err(GateError::TooMuch { asked: amount, whole });
        }
        let (granted, receiver) = channel();
        let full = |waiting: &FairQueue<Waiting>| GateError::Full { waiting: waiting.len() };
        {
            let State { waiting, .. } = &mut *self.state();
            waiting.take_if(|one| one.granted.is_closed());
            waiting.push(client, Waiting { amount, granted }).map_err(|_| full(waiting))?;
        }
        let mut place = Place { gate: self, granted: receiver };
        self.serve();
        // Only those who have left are taken out of the queue without an answer.
        (&mut place.granted).await.map_err(|_| full(&self.state().waiting))
    }

    /// Gives those whose turn it is their parts, as far as there are any.
    fn serve(&self) {
        // Parts of those who left just now; they are given back when the lock is.
        let mut unwanted = Vec::new();
        let State { free, waiting } = &mut *self.state();
        waiting.take_if(|one| one.granted.is_closed());
        while let Some(Waiting { amount, granted }) = waiting.pop_if(|one| one.amount <= *free) {
            *free -= amount;
            unwanted.extend(granted.send(Share { gate: self.clone(), amount }).err());
        }
    }

    /// Nothing that is done under the lock stops halfway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gate.state().free += self.amount;
        self.gate.serve();
    }
}

/// Somebody's place among those who wait.
struct Place<'g> {
    gate: &'g Gate,
    granted: Receiver<Share>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Whoever stood behind may have room now.
        self.granted.close();
        self.gate.serve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::{JoinHandle, yield_now};

    /// Somebody who waits for a part: what he is told once he has it, and the part.
    async fn waits(gate: &Gate, client: u64, amount: u64) -> JoinHandle<Share> {
        let gate = gate.clone();
        let waits = async move { gate.pass(Client(client), amount).await.expect("a part") };
        let waits = tokio::spawn(waits);
        // Until he has taken his place.
        yield_now().await;
        waits
    }

    #[tokio::test]
    async fn clients_pass_in_turn_and_a_large_part_is_not_overtaken() {
        let gate = Gate::new(4, 9);
        let (one, three) = (gate.pass(Client(0), 1).await, gate.pass(Client(0), 3).await);
        let large = waits(&gate, 1, 4).await;
        let (own, other) = (waits(&gate, 1, 3).await, waits(&gate, 2, 2).await);
        drop(three);
        yield_now().await;
        assert!(!large.is_finished() && !own.is_finished() && !other.is_finished());
        drop(one);
        let large = large.await.expect("no panic");
        yield_now().await;
        assert!(!own.is_finished() && !other.is_finished());
        drop(large);
        let other = other.await.expect("no panic");
        assert!(!own.is_finished(), "it was the other client's turn");
        drop(other);
        drop(own.await.expect("no panic"));
        assert_eq!(gate.state().free, 4);
    }

    #[tokio::test]
    async fn whoever_leaves_gives_up_his_place_and_what_he_was_given() {
        let gate = Gate::new(2, 9);
        let (one, two) = (gate.pass(Client(0), 1).await, gate.pass(Client(0), 1).await);
        let large = waits(&gate, 1, 2).await;
        let small = waits(&gate, 2, 1).await;
        drop(one);
        large.abort();
        assert!(large.await.is_err_and(|error| error.is_cancelled()));
        drop(small.await.expect("no panic"));
        // Given, and never looked at.
        let given = waits(&gate, 1, 2).await;
        drop(two);
        given.abort();
        drop(given.await);
        let state = gate.state();
        assert_eq!((state.free, state.waiting.len()), (2, 0));
    }

    #[tokio::test]
    async fn more_than_there_is_and_more_than_may_wait_are_refused_at_once() {
        let gate = Gate::new(2, 1);
        let too_much = gate.pass(Client(1), 3).await.expect_err("there are 2");
        assert_eq!(too_much, GateError::TooMuch { asked: 3, whole: 2 });
        let all = gate.pass(Client(1), 2).await;
        let waiting = waits(&gate, 1, 1).await;
        let full = gate.pass(Client(2), 1).await.expect_err("one waits");
        assert_eq!(full, GateError::Full { waiting: 1 });
        drop(all);
        drop(waiting.await.expect("no panic"));
    }
}
