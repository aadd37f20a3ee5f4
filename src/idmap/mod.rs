//! Who the user may be inside: subordinate ids, mappings, and the privilege level in force.
