//! What images are called and made of.
