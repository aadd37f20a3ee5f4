//! Networks of containers: their records, the router that joins them to the world, published ports, names.

pub mod router;
