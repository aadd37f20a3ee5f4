//! The program: words from the command line to one of its roles.

fn main() {}
