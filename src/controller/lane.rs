//! Work that waits: each item once, when it is due, so many at a time, with longer and longer pauses after failures.
//!
//! Pure: what time it is is said from outside, as the time since some beginning.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher as _, Hash, RandomState},
    time::Duration,
};

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is done.
    Done,
    /// It failed, and may go well soon.
    Failed,
    /// It failed, and will fail again until somebody does something about it.
    FailedForLong,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Queued,
    /// It does not: ask again when there is room.
    Full,
}

/// The first pause after a failure; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The pause where nothing will change by itself.
const LONG_PAUSE: Duration = Duration::from_mins(30);

#[derive(Debug)]
pub(crate) struct Lane<T> {
    /// By when it is due, then by when it came.
    waiting: BTreeSet<(Duration, u64)>,
    items: HashMap<u64, T>,
    known: HashMap<T, Item>,
    running: usize,
    at_once: usize,
    capacity: usize,
    next: u64,
    spread: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    place: Place,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is being done.
    Running,
    /// The same, and something new is known of it: once more.
    RunningAgain,
    Waiting(Duration, u64),
}

impl<T: Clone + Eq + Hash> Lane<T> {
    pub(crate) fn new(at_once: usize, capacity: usize) -> Self {
        Self {
            waiting: BTreeSet::new(),
            items: HashMap::new(),
            known: HashMap::new(),
            running: 0,
            at_once,
            capacity,
            next: 0,
            spread: RandomState::new(),
        }
    }

    /// How much waits or is being done.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether this waits or is being done.
    pub(crate) fn contains(&self, item: &T) -> bool {
        self.known.contains_key(item)
    }

    /// Something new is known of an item: it is due now, and earlier failures count no more.
    pub(crate) fn push(&mut self, item: T, now: Duration) -> Pushed {
        match self.known.get(&item).map(|known| known.place) {
            Some(Place::Running | Place::RunningAgain) => {
                if let Some(known) = self.known.get_mut(&item) {
                    known.place = Place::RunningAgain;
                }
            }
            Some(Place::Waiting(due, number)) if due > now => {
                self.waiting.remove(&(due, number));
                self.items.remove(&number);
                self.wait(item, now, 0);
            }
            Some(Place::Waiting(..)) => {}
            None if self.known.len() >= self.capacity => return Pushed::Full,
            None => self.wait(item, now, 0),
        }
        Pushed::Queued
    }

    /// What is to be begun now, the longest due first, of what may be.
    pub(crate) fn begin(&mut self, now: Duration, may: impl Fn(&T) -> bool) -> Option<T> {
        if self.running >= self.at_once {
            return None;
        }
        let items = &self.items;
        let due = self.waiting.iter().take_while(|(due, _)| *due <= now);
        let mut due = due.filter(|(_, number)| items.get(number).is_some_and(&may));
        let place = *due.next()?;
        self.waiting.remove(&place);
        let item = self.items.remove(&place.1)?;
        self.known.get_mut(&item)?.place = Place::Running;
        self.running = self.running.saturating_add(1);
        Some(item)
    }

    /// What was begun has ended.
    pub(crate) fn end(&mut self, item: &T, ending: Ending, now: Duration) {
        let Some(known) = self.known.get(item).copied() else {
            return;
        };
        self.running = self.running.saturating_sub(1);
        let failures = known.failures.saturating_add(1);
        match (known.place, ending) {
            (Place::RunningAgain, Ending::Done) => self.wait(item.clone(), now, 0),
            (_, Ending::Done) => {
                self.known.remove(item);
            }
            (_, Ending::Failed) => {
                let longest = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
                let pause = self.spread(item, failures, longest.min(LONGEST_PAUSE));
                self.wait(item.clone(), now.saturating_add(pause), failures);
            }
            (_, Ending::FailedForLong) => {
                let pause = self.spread(item, failures, LONG_PAUSE);
                self.wait(item.clone(), now.saturating_add(pause), failures);
            }
        }
    }

    /// When the next one is due, if one more may be begun then.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let (due, _) = self.waiting.first()?;
        (self.running < self.at_once).then_some(*due)
    }

    fn wait(&mut self, item: T, due: Duration, failures: u32) {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.waiting.insert((due, number));
        self.items.insert(number, item.clone());
        let place = Place::Waiting(due, number);
        self.known.insert(item, Item { place, failures });
    }

    /// Between half of a pause and all of it: what failed together is not tried again together.
    fn spread(&self, item: &T, failures: u32, pause: Duration) -> Duration {
        let half = pause / 2;
        let nanoseconds = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        let share = self.spread.hash_one((item, failures)) % nanoseconds;
        half.saturating_add(Duration::from_nanos(share))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Ending, Lane, Pushed};

    const ZERO: Duration = Duration::ZERO;
    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_item_waits_once_and_so_many_run() {
        let mut lane = Lane::new(2, 3);
        for item in ["a", "b", "a", "c"] {
            assert_eq!(lane.push(item, ZERO), Pushed::Queued);
        }
        assert_eq!((lane.push("d", ZERO), lane.len()), (Pushed::Full, 3));
        assert_eq!(lane.begin(ZERO, |item| *item != "a"), Some("b"));
        assert_eq!(lane.begin(ZERO, |_| true), Some("a"));
        assert_eq!((lane.begin(ZERO, |_| true), lane.next_due()), (None, None));
        lane.end(&"b", Ending::Done, ZERO);
        assert_eq!(lane.begin(ZERO, |_| true), Some("c"));
    }

    #[test]
    fn what_is_new_of_a_running_item_is_looked_at_afterwards() {
        let mut lane = Lane::new(1, 3);
        lane.push("a", ZERO);
        lane.begin(ZERO, |_| true);
        lane.push("a", ZERO);
        assert_eq!(lane.begin(ZERO, |_| true), None);
        lane.end(&"a", Ending::Done, ZERO);
        assert_eq!(lane.begin(ZERO, |_| true), Some("a"));
        lane.end(&"a", Ending::Done, ZERO);
        assert_eq!(lane.len(), 0);
    }

    #[test]
    fn pauses_grow_to_some_minutes_and_news_end_them() {
        let mut lane = Lane::new(1, 3);
        lane.push("a", ZERO);
        let mut now = ZERO;
        for longest in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(lane.begin(now, |_| true), Some("a"));
            lane.end(&"a", Ending::Failed, now);
            let due = lane.next_due().unwrap();
            assert!(due >= now + seconds(longest) / 2 && due <= now + seconds(longest));
            assert_eq!(
                lane.begin(due.saturating_sub(Duration::from_nanos(1)), |_| true),
                None
            );
            now = due;
        }
        lane.begin(now, |_| true);
        lane.end(&"a", Ending::FailedForLong, now);
        assert!(lane.next_due().unwrap() >= now + seconds(15 * 60));
        lane.push("a", now);
        assert_eq!(lane.begin(now, |_| true), Some("a"));
    }
}
