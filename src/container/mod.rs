//! A container's life.

mod config;
mod request;

pub use config::{
    Attach, ContainerConfig, Device, LogDriver, Mount, MountSource, NetworkMode, ProcessConfig,
    RestartPolicy, Ulimit,
};
pub use request::{CreateRequest, ExecRequest, MountRequest};
