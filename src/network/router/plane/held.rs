//! Packets that the kernel holds: read, sorted, and answered.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::event::{Events, Fate, Source, Turn};
use super::flow::HasFlow;
use super::icmp;
use super::tcp::{Answer, HasTcp, hold};
use crate::sys::netlink::queue::{Queue, Verdict};

/// Packets read before others get their turn.
const BATCH: usize = 64;

/// A packet, and what the kernel says about it.
const ROOM: usize = 0xffff + 512;

/// The queue, as both who reads it and who answers use it.
type Shared = Rc<RefCell<Option<Queue>>>;

/// The source that reads the queue.
#[derive(Debug)]
pub(super) struct Queued {
    queue: Shared,
    buffer: Box<[u8]>,
}

impl Queued {
    /// Begins to read `queue`, which is put where the answers go.
    pub(super) fn begin<W: HasTcp + HasFlow>(
        turn: &mut Turn<'_, W>,
        queue: Queue,
        shared: Shared,
    ) -> io::Result<()> {
        let key = turn.reserve()?;
        turn.watch(key, 0, &queue, Events::IN)?;
        *shared.borrow_mut() = Some(queue);
        turn.fill(key, Self { queue: shared, buffer: vec![0; ROOM].into_boxed_slice() });
        Ok(())
    }
}

impl<W: HasTcp + HasFlow> Source<W> for Queued {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        let mut found: Vec<(u32, Vec<u8>)> = Vec::new();
        for _ in 0..BATCH {
            let queue = self.queue.borrow();
            let Some(queue) = &*queue else { return Fate::Gone };
            match queue.receive(&mut self.buffer, |packet| found.push((packet.id, packet.bytes.to_vec()))) {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            }
        }
        for (id, bytes) in found {
            if is_icmp(&bytes) {
                icmp::take(turn, &bytes);
                decide(&self.queue, id, Answer::Silence);
            } else {
                hold::hold(turn, id, &bytes);
            }
        }
        Fate::Stay
    }
}

/// Tells the kernel what becomes of a packet.
pub(super) fn decide(queue: &Shared, id: u32, answer: Answer) {
    let verdict = answer.mark().map_or(Verdict::Drop, |mark| Verdict::Accept { mark });
    if let Some(queue) = &mut *queue.borrow_mut() {
        // What the kernel has given up meanwhile needs no answer.
        let _ = queue.decide(id, verdict);
    }
}

/// Tells whether a packet is of ICMP or ICMPv6. Extension headers make it none: programs that ping send none.
fn is_icmp(packet: &[u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(9) == Some(&1),
        Some(6) => packet.get(6) == Some(&58),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_protocol() {
        let mut packet = vec![0; 40];
        for (first, at, number, expected) in [
            (0x45, 9, 1, true),
            (0x45, 9, 6, false),
            (0x60, 6, 58, true),
            (0x60, 6, 6, false),
            (0x10, 9, 1, false),
        ] {
            packet.fill(0);
            packet[0] = first;
            packet[at] = number;
            assert_eq!(is_icmp(&packet), expected);
        }
        assert!(!is_icmp(&[]) && !is_icmp(&[0x45]));
    }
}
