//! The pipes that carry bytes from one socket to another inside the kernel.
//!
//! An unprivileged user may fill 16,384 pages of pipes (`fs.pipe-user-pages-soft`); every pipe made after that
//! has two pages and cannot grow. All processes of the user share this, so the router takes a fixed part,
//! whatever the number of connections: a pipe is lent for as long as bytes are in it, and who gets none copies.

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// The bytes of a pipe's pages. Each page may stand for a bigger piece of a packet, so more go in.
pub const SIZE: usize = 256 * 1024;

/// Pipes of one loop. Two loops take a quarter of what the user may have.
const MOST: usize = 32;

/// Empty pipes that are kept for the next.
const IDLE: usize = 8;

/// A pipe.
#[derive(Debug)]
pub struct Pipe {
    /// Where bytes come out.
    pub out: OwnedFd,
    /// Where bytes go in.
    pub into: OwnedFd,
}

/// Pipes to lend.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Vec<Pipe>,
    lent: usize,
}

impl Pool {
    /// Lends an empty pipe. `None` if there are no more.
    pub fn take(&mut self) -> Option<Pipe> {
        if self.lent + self.idle.len() >= MOST && self.idle.is_empty() {
            return None;
        }
        let pipe = self.idle.pop().or_else(|| {
            let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // One that cannot grow is no gain over copying.
            fcntl_setpipe_size(&into, SIZE).ok()?;
            Some(Pipe { out, into })
        })?;
        self.lent += 1;
        Some(pipe)
    }

    /// Takes back a pipe that is empty.
    pub fn give(&mut self, pipe: Pipe) {
        self.lent -= 1;
        if self.idle.len() < IDLE {
            self.idle.push(pipe);
        }
    }

    /// Notes that a pipe was closed with bytes in it.
    pub fn lose(&mut self) {
        self.lent -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lends_a_bounded_number() {
        let mut pool = Pool::default();
        let mut lent: Vec<_> = std::iter::from_fn(|| pool.take()).take(MOST + 1).collect();
        // Fewer only where the user has filled the kernel's bound otherwise.
        assert!(lent.len() <= MOST && !lent.is_empty());
        let full = lent.len();
        pool.give(lent.pop().unwrap());
        lent.extend(pool.take());
        assert_eq!(lent.len(), full);
        drop(lent.pop());
        pool.lose();
        assert!(pool.take().is_some());
        assert_eq!(rustix::pipe::fcntl_getpipe_size(&lent[0].into).unwrap(), SIZE);
    }

    #[test]
    fn keeps_few_that_nobody_uses() {
        let mut pool = Pool::default();
        let lent: Vec<_> = std::iter::from_fn(|| pool.take()).take(IDLE + 4).collect();
        for pipe in lent {
            pool.give(pipe);
        }
        assert!(pool.idle.len() <= IDLE);
        assert_eq!(pool.lent, 0);
    }
}
