//! An OCI runtime `Spec` made into a process. Knows no image, no name, no command line.

pub mod guest;
