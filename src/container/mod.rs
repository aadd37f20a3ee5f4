//! A container's life: what it is meant to be, and the verbs that make it so.
//!
//! A container is a directory ([`ContainerDir`]) and a configuration ([`ContainerConfig`]); every verb is a function
//! in its own file that takes what it needs. While it runs, a supervisor ([`supervise`]) owns it; what it is
//! doing is observed ([`status`]) and never stored.

mod attach;
mod commit;
mod config;
mod control;
mod copy;
mod create;
mod device;
mod diff;
mod dir;
mod etc;
mod event;
mod exec;
mod export;
mod filter;
mod freeze;
mod health;
mod inherit;
mod inspect;
mod limits;
mod link;
mod list;
mod log;
mod logs;
mod name;
mod network;
mod protocol;
mod remove;
mod request;
mod restore;
mod security;
mod sharing;
mod signal;
mod size;
mod spec;
mod start;
mod stats;
mod status;
mod stdio;
mod strays;
pub mod supervise;
mod terminal;
mod update;
mod volumes;

pub use crate::runtime::cgroup::{DeviceRate, Limits};
pub use attach::{AttachOptions, Outcome, attach};
pub use commit::{CommitRequest, Held, commit, halt};
pub use config::{
    Attach, Attachment, ContainerConfig, Device, LogDriver, Mount, MountSource, NetworkMode, ProcessConfig,
    RestartPolicy, Ulimit,
};
pub use control::{kill, pause, restart, stop, unpause, wait};
pub use copy::{
    Copied, CopyOptions, Files, HostError, absolute_path, check_destination, check_source, copy_in, copy_out,
    split_argument, stream_in, stream_out,
};
pub use create::{Created, create};
pub use device::{CDI, DeviceRequest, is_cdi};
pub use diff::diff;
pub use dir::{Alive, ContainerDir, ExitRecord, Joined, ProcessMark};
pub use exec::exec;
pub use export::export;
pub use health::{Healthcheck, Word as HealthWord};
pub use inspect::{inspect, inspect_network};
pub use limits::{Kept, facts as limit_facts};
pub use link::unlink;
pub use list::{Summary, list, summary};
pub use logs::{LogOptions, logs};
pub use name::{FindError, NameTaken, find, rename};
pub use network::{
    Member, connect as connect_network, disconnect as disconnect_network, members, remove_network,
    unused_networks,
};
pub use remove::{RemoveOptions, Remover, StillActive};
pub use request::{CreateRequest, ExecRequest, MountRequest, VolumeWishes};
pub use restore::restore;
pub use sharing::{IpcMode, KeepId, PidMode, Sharing};
pub use signal::parse as parse_signal;
pub use size::{measure as size, tree as tree_size};
pub use start::{StartError, start};
pub use stats::{Sample, Usage, processes, sample};
pub use status::{Status, observe, observe_and_mend};
pub use update::{Changes, update};
pub use volumes::{VolumeInUse, prune_volumes, remove_volume, volume_users};
