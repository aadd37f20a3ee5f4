//! Named directories and their lives.
