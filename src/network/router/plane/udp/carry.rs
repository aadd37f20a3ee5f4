//! Moves what one socket has received to another one, a batch at a time.
//!
//! Neighbouring datagrams of equal length go to the kernel as one piece that it cuts up (`UDP_SEGMENT`, Linux
//! 4.18), which spares most of the way through its layers; so does what it gives us in one piece
//! (`UDP_GRO`). Where it cannot (a path whose packets are shorter, a device without checksums), they go one by one.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::End;
use crate::sys::datagram::{self, BATCH, Inbox, Meta, Outgoing};

/// What the kernel takes at most as one piece.
const BYTES: usize = 65000;

/// Whom the datagrams are for, on a socket that is not connected.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Envelope {
    pub(super) to: Option<SocketAddr>,
    pub(super) from: Option<IpAddr>,
}

/// What one call to the kernel sends: these datagrams of the inbox.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    slots: Range<usize>,
    /// The length to cut at, if there are several.
    segment: Option<u16>,
    /// They came together, but are too long to go on together.
    apart: bool,
}

/// Sends these datagrams of the inbox. What cannot be sent now is lost, as packets are when queues are full.
pub(super) fn carry(inbox: &Inbox, slots: Range<usize>, end: &End, envelope: Envelope) {
    let parts: [IoSlice<'_>; BATCH] =
        std::array::from_fn(|slot| IoSlice::new(if slots.contains(&slot) { inbox.get(slot).0 } else { &[] }));
    let pieces = plan(slots.clone().map(|slot| (slot, inbox.get(slot).1)), end.together.get());
    let outgoing = |piece: &Piece| Outgoing {
        to: envelope.to,
        from: envelope.from,
        segment: piece.segment,
        ..Outgoing::new(&parts[piece.slots.clone()])
    };
    let out: Vec<_> = pieces.iter().map(outgoing).collect();
    let mut at = 0;
    let mut failed = false;
    while at < out.len() {
        if pieces[at].apart {
            one_by_one(inbox, &pieces[at], end, envelope);
            at += 1;
            continue;
        }
        let ready = pieces[at..].iter().take_while(|piece| !piece.apart).count();
        match datagram::send(&end.socket, &out[at..at + ready]) {
            Ok(0) => break,
            Ok(sent) => at += sent,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // All queues are full: the rest would fail too.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // The first failure may be about an earlier datagram, whose ICMP error has come back.
            Err(_) if !failed => failed = true,
            Err(_) if out[at].segment.is_some() => {
                end.together.set(0);
                one_by_one(inbox, &pieces[at], end, envelope);
                at += 1;
            }
            Err(_) => at += 1,
        }
    }
}

/// Sends the datagrams of a piece that the kernel does not cut up.
fn one_by_one(inbox: &Inbox, piece: &Piece, end: &End, envelope: Envelope) {
    for slot in piece.slots.clone() {
        let (bytes, meta) = inbox.get(slot);
        let length = meta.segment.map_or(bytes.len().max(1), usize::from);
        for datagram in bytes.chunks(length) {
            let parts = [IoSlice::new(datagram)];
            let out = Outgoing { to: envelope.to, from: envelope.from, ..Outgoing::new(&parts) };
            let _ = datagram::send(&end.socket, &[out]);
        }
    }
}

/// Decides which datagrams travel together, if they are no longer than `together`.
fn plan<'a>(datagrams: impl Iterator<Item = (usize, &'a Meta)>, together: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(BATCH);
    // Of the last piece: the length of each datagram and of all, if another one may follow.
    let mut open: Option<(usize, usize)> = None;
    for (slot, meta) in datagrams {
        if let (Some((each, all)), Some(last)) = (open, pieces.last_mut())
            && meta.segment.is_none()
            && (1..=each).contains(&meta.length)
            && all + meta.length <= BYTES
        {
            last.slots.end = slot + 1;
            last.segment = u16::try_from(each).ok();
            // A shorter one ends the piece.
            open = (meta.length == each).then_some((each, all + meta.length));
            continue;
        }
        let apart = meta.segment.is_some_and(|segment| usize::from(segment) > together);
        pieces.push(Piece { slots: slot..slot + 1, segment: meta.segment, apart });
        let is_open = meta.segment.is_none() && (1..=together).contains(&meta.length);
        open = is_open.then_some((meta.length, meta.length));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(length: usize, segment: Option<u16>) -> Meta {
        let from = SocketAddr::from(([10, 0, 0, 2], 1));
        Meta { length, from, destination: None, local: None, hops: None, segment, truncated: false }
    }

    fn planned(lengths: &[usize], together: usize) -> Vec<(Range<usize>, Option<u16>)> {
        let metas: Vec<_> = lengths.iter().map(|length| meta(*length, None)).collect();
        plan(metas.iter().enumerate(), together)
            .into_iter()
            .map(|piece| (piece.slots, piece.segment))
            .collect()
    }

    #[test]
    fn equal_neighbours_travel_together() {
        assert_eq!(planned(&[5, 5, 3, 5], 1400), [(0..3, Some(5)), (3..4, None)]);
        assert_eq!(planned(&[5, 6, 6], 1400), [(0..1, None), (1..3, Some(6))]);
        assert_eq!(planned(&[0, 0, 5, 0], 1400), [(0..1, None), (1..2, None), (2..3, None), (3..4, None)]);
        assert_eq!(planned(&[1500, 1500], 1400), [(0..1, None), (1..2, None)]);
        assert_eq!(planned(&[5, 5], 0), [(0..1, None), (1..2, None)]);
        assert_eq!(planned(&[30000, 30000, 30000], 65000), [(0..2, Some(30000)), (2..3, None)]);
    }

    #[test]
    fn what_came_together_goes_on_alone() {
        let metas = [meta(10, Some(4)), meta(4, None), meta(4, None), meta(10, Some(2000))];
        let pieces = plan(metas.iter().enumerate(), 1400);
        let piece = |slots, segment, apart| Piece { slots, segment: Some(segment), apart };
        assert_eq!(pieces, [piece(0..1, 4, false), piece(1..3, 4, false), piece(3..4, 2000, true)]);
    }
}
