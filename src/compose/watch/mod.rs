//! `develop.watch`: what is done to services when files change.
//!
//! [`rules`] says what each service watches; [`Notices`] tells, by inotify(7), which files have changed, in
//! batches that end when nothing has changed for a while; [`plan`] makes work of a batch; [`archive`] packs the
//! files that go into containers. Nothing of it lives longer than the command.

mod notice;
mod pack;
mod rule;

pub use notice::{Notices, walk};
pub use pack::archive;
pub use rule::{Mapping, Rule, Work, plan, rules};
