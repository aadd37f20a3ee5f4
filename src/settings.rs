//! `config.toml` and the environment, read once, handed down as plain values.
