//! The distribution protocol: requests, tokens, transfers. Knows no disk.
