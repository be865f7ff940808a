//! When each check is due.

use std::time::Duration;

/// Names a check in the [`Schedule`] that gave it out, until the check is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId(u32);

/// A check that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due<'a, T> {
    /// What was given to [`Schedule::insert`].
    pub value: &'a T,
    /// When it was due, in µs since the Unix epoch: the latest slot that is not in the future.
    pub scheduled_at_us: i64,
    /// How many slots before that one had passed without being fired.
    pub skipped: u64,
}

/// A timer for each of up to millions of checks: a binary heap by due time that knows where each
/// check stands, so that replacing or removing one is O(log n) and leaves nothing behind.
///
/// Slots lie on the wall clock at `phase + k × interval` since the Unix epoch, so that a restart
/// resumes the same rhythm and load is spread by the check's name.
///
/// **Invariant:** each inserted check has exactly one entry in the heap.
#[derive(Debug)]
pub struct Schedule<T> {
    slots: Vec<Option<Slot<T>>>,
    free: Vec<u32>,
    /// Slots as a heap: the parent of entry `i` is entry `(i - 1) / 2` and is due no later.
    heap: Vec<Entry>,
}

#[derive(Debug)]
struct Slot<T> {
    value: T,
    interval_us: i64,
    phase_us: i64,
    /// Slots that passed without being fired since it fired last.
    skipped: u64,
    /// Where the slot's entry stands in the heap.
    position: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    due_us: i64,
    slot: u32,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), heap: Vec::new() }
    }
}

/// The phase of a check within its interval, in µs: an FNV-1a hash of its name, spread by the
/// finaliser of MurmurHash3, since FNV alone leaves similar names close to one another.
/// Stable across versions and machines.
pub fn phase(name: &str, interval: Duration) -> Duration {
    let mut hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    Duration::from_micros(hash % micros(interval).max(1).unsigned_abs())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The first slot that lies after `now_us`.
fn next_slot(now_us: i64, interval_us: i64, phase_us: i64) -> i64 {
    let since = now_us.saturating_sub(phase_us);
    let k = since.div_euclid(interval_us).saturating_add(1);
    phase_us.saturating_add(k.saturating_mul(interval_us))
}

impl<T> Schedule<T> {
    /// How many checks there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Adds a check whose slots lie at `phase + k × interval`. It is due at the first one after
    /// `now_us`, in µs since the Unix epoch.
    pub fn insert(&mut self, now_us: i64, interval: Duration, phase: Duration, value: T) -> SlotId {
        // An interval of zero would divide by it.
        let (interval_us, phase_us) = (micros(interval).max(1), micros(phase));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // 2^32 checks would need more memory than any machine has.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let position = self.heap.len();
        self.slots[slot as usize] = Some(Slot { value, interval_us, phase_us, skipped: 0, position: position as u32 });
        self.heap.push(Entry { due_us: next_slot(now_us, interval_us, phase_us), slot });
        self.sift_up(position);
        SlotId(slot)
    }

    /// Removes a check; `None` if it was removed before.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        let slot = self.slots.get_mut(id.0 as usize)?.take()?;
        self.free.push(id.0);
        let position = slot.position as usize;
        self.heap.swap_remove(position);
        if position < self.heap.len() {
            self.place(position);
            let position = self.sift_up(position);
            self.sift_down(position);
        }
        Some(slot.value)
    }

    /// What was inserted; `None` if it was removed.
    pub fn get(&self, id: SlotId) -> Option<&T> {
        self.slots.get(id.0 as usize)?.as_ref().map(|slot| &slot.value)
    }

    /// When the next check is due, in µs since the Unix epoch.
    pub fn next_due_us(&self) -> Option<i64> {
        self.heap.first().map(|entry| entry.due_us)
    }

    /// The next check that is due at `now_us`, and puts it to its first slot after `now_us`: slots
    /// that were slept through are skipped and counted, never fired in a burst.
    pub fn pop_due(&mut self, now_us: i64) -> Option<Due<'_, T>> {
        let entry = *self.heap.first()?;
        if entry.due_us > now_us {
            return None;
        }
        let slot = self.slots[entry.slot as usize].as_mut()?;
        let before = std::mem::take(&mut slot.skipped);
        let skipped = now_us.saturating_sub(entry.due_us) / slot.interval_us;
        let scheduled_at_us = entry.due_us.saturating_add(skipped.saturating_mul(slot.interval_us));
        self.heap[0].due_us = scheduled_at_us.saturating_add(slot.interval_us);
        self.sift_down(0);
        let slot = self.slots[entry.slot as usize].as_ref()?;
        Some(Due { value: &slot.value, scheduled_at_us, skipped: before.saturating_add(skipped.unsigned_abs()) })
    }

    /// Moves every check with a clock that was set to `now_us`.
    ///
    /// After a step forward, or a sleep, each is due at its first slot after now, and the slots that
    /// passed are counted and told when it fires: not all checks at once. After a step back by less
    /// than about an interval a check waits for the slot that it has not fired yet, so that no slot is
    /// run twice; after a longer one it does not stand still for so long, and slots recur.
    pub fn realign(&mut self, now_us: i64) {
        for entry in &mut self.heap {
            let Some(slot) = &mut self.slots[entry.slot as usize] else { continue };
            let ahead_us = entry.due_us.saturating_sub(now_us);
            let next_us = next_slot(now_us, slot.interval_us, slot.phase_us);
            if ahead_us <= 0 {
                let passed = next_us.saturating_sub(entry.due_us) / slot.interval_us;
                slot.skipped = slot.skipped.saturating_add(passed.unsigned_abs());
                entry.due_us = next_us;
            } else if ahead_us > slot.interval_us.saturating_mul(2) {
                entry.due_us = next_us;
            }
        }
        for position in (0..self.heap.len() / 2).rev() {
            self.sift_down(position);
        }
    }

    fn sift_up(&mut self, mut position: usize) -> usize {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.heap[parent].due_us <= self.heap[position].due_us {
                break;
            }
            self.swap(position, parent);
            position = parent;
        }
        position
    }

    fn sift_down(&mut self, mut position: usize) {
        loop {
            let mut earliest = position;
            for child in [2 * position + 1, 2 * position + 2] {
                if child < self.heap.len() && self.heap[child].due_us < self.heap[earliest].due_us {
                    earliest = child;
                }
            }
            if earliest == position {
                return;
            }
            self.swap(position, earliest);
            position = earliest;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.place(a);
        self.place(b);
    }

    fn place(&mut self, position: usize) {
        if let Some(slot) = &mut self.slots[self.heap[position].slot as usize] {
            slot.position = position as u32;
        }
    }
}
