//! A bounded queue that serves its clients in turn.

use super::Client;
use std::collections::{HashMap, VecDeque};

/// A client that asks much waits behind his own requests, and not before those of others.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    waiting: HashMap<Client, VecDeque<T>>,
    /// Clients that have something waiting, the next one first.
    turns: VecDeque<Client>,
    len: usize,
    capacity: usize,
}

impl<T> FairQueue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new(), len: 0, capacity }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Gives the item back if there is no room.
    pub(super) fn push(&mut self, client: Client, item: T) -> Result<(), T> {
        if self.len >= self.capacity {
            return Err(item);
        }
        let own = self.waiting.entry(client).or_default();
        if own.is_empty() {
            self.turns.push_back(client);
        }
        own.push_back(item);
        self.len += 1;
        Ok(())
    }

    /// The next item, if `fits` takes it: the oldest of the client whose turn it is.
    pub(super) fn pop_if(&mut self, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        let client = *self.turns.front()?;
        let own = self.waiting.get_mut(&client)?;
        if !own.front().is_some_and(fits) {
            return None;
        }
        let item = own.pop_front()?;
        self.turns.pop_front();
        match own.is_empty() {
            true => drop(self.waiting.remove(&client)),
            false => self.turns.push_back(client),
        }
        self.len -= 1;
        Some(item)
    }

    /// Takes out what is not wanted any more.
    pub(super) fn take_if(&mut self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for own in self.waiting.values_mut() {
            let (out, stay): (VecDeque<T>, VecDeque<T>) = own.drain(..).partition(|i| gone(i));
            *own = stay;
            taken.extend(out);
        }
        self.waiting.retain(|_, own| !own.is_empty());
        self.turns.retain(|client| self.waiting.contains_key(client));
        self.len -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(queue: &mut FairQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop_if(|_| true)).collect()
    }

    #[test]
    fn clients_are_served_in_turn_and_each_in_his_own_order() {
        let mut queue = FairQueue::new(9);
        for (client, item) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)] {
            queue.push(Client(client), item).expect("there is room");
        }
        assert_eq!(all(&mut queue), [10, 20, 30, 11, 21, 12]);
        assert_eq!((queue.len(), queue.waiting.len(), queue.turns.len()), (0, 0, 0));
    }

    #[test]
    fn a_full_queue_gives_back_what_it_has_no_room_for() {
        let mut queue = FairQueue::new(2);
        assert_eq!(queue.push(Client(1), 1), Ok(()));
        assert_eq!(queue.push(Client(2), 2), Ok(()));
        assert_eq!(queue.push(Client(3), 3), Err(3));
        assert_eq!(queue.take_if(|item| *item == 1), [1]);
        assert_eq!(queue.push(Client(3), 3), Ok(()));
        assert_eq!(queue.pop_if(|item| *item == 9), None);
        assert_eq!(all(&mut queue), [2, 3]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_client_overtakes_himself(
            pushes in proptest::collection::vec((0_u64..4, any::<bool>()), 0..60)
        ) {
            let mut queue = FairQueue::new(20);
            let (mut pushed, mut popped) = (Vec::new(), Vec::new());
            for (at, (client, pop)) in (0_u32..).zip(pushes) {
                let item = (client, at);
                if queue.push(Client(client), item).is_ok() {
                    pushed.push(item);
                }
                if pop {
                    popped.extend(queue.pop_if(|_| true));
                }
            }
            popped.extend(std::iter::from_fn(|| queue.pop_if(|_| true)));
            for client in 0..4 {
                let of = |items: &[(u64, u32)]| -> Vec<u32> {
                    items.iter().filter(|(c, _)| *c == client).map(|(_, at)| *at).collect()
                };
                prop_assert_eq!(of(&popped), of(&pushed));
            }
        }
    }
}
